// Headless Chromium, driven by its own protocol over a pipe: needs no driver, no port and no package.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
];
/** Machines that test may be slow. */
const LIMIT_MILLISECONDS = 120_000;

/** A browser with an empty profile, which is removed when it is closed. */
export class Chromium {
    #calls = new Map();
    #listeners = new Set();
    #number = 0;
    #rest = "";

    constructor(program = process.env.CHROMIUM ?? "chromium") {
        this.profile = mkdtempSync(join(tmpdir(), "sgl-chromium-"));
        this.process = spawn(program, [...FLAGS, `--user-data-dir=${this.profile}`], {
            stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
        });
        this.ended = new Promise((resolve) => this.process.once("exit", resolve).once("error", resolve));
        this.ended.then((why) => this.#fail(`${program} ended (${why}); install chromium, or name it in CHROMIUM`));
        this.process.stdio[3].on("error", () => {});
        this.process.stdio[4].setEncoding("utf8").on("data", (text) => this.#read(text));
    }

    /** A tab of `width` x `height` CSS pixels. */
    async open({ width, height, isDark = false, isMobile = false, isStill = false }) {
        const { targetId } = await this.call("Target.createTarget", { url: "about:blank" });
        const { sessionId } = await this.call("Target.attachToTarget", { targetId, flatten: true });
        const page = new Page(this, sessionId);
        for (const domain of ["Page", "Runtime", "DOM", "Log", "Network"]) await page.call(`${domain}.enable`);
        await page.call("Emulation.setDeviceMetricsOverride", {
            width,
            height,
            deviceScaleFactor: isMobile ? 2 : 1,
            mobile: isMobile,
        });
        const features = [
            { name: "prefers-color-scheme", value: isDark ? "dark" : "light" },
            { name: "prefers-reduced-motion", value: isStill ? "reduce" : "no-preference" },
        ];
        await page.call("Emulation.setEmulatedMedia", { features });
        return page;
    }

    call(method, params = {}, sessionId) {
        const id = ++this.#number;
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => reject(new Error(`${method} has not answered`)), LIMIT_MILLISECONDS);
            this.#calls.set(id, { method, resolve, reject, timer });
            this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
        });
    }

    listen(listener) {
        this.#listeners.add(listener);
    }

    async close() {
        await this.call("Browser.close").catch(() => {});
        await this.ended;
        rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
    }

    #read(text) {
        const messages = (this.#rest + text).split("\0");
        this.#rest = messages.pop();
        for (const message of messages.map(JSON.parse)) {
            const call = this.#calls.get(message.id);
            if (!call) for (const listener of this.#listeners) listener(message);
            else {
                this.#calls.delete(message.id);
                clearTimeout(call.timer);
                if (message.error) call.reject(new Error(`${call.method}: ${message.error.message}`));
                else call.resolve(message.result);
            }
        }
    }

    #fail(why) {
        for (const { reject, timer } of this.#calls.values()) {
            clearTimeout(timer);
            reject(new Error(why));
        }
        this.#calls.clear();
    }
}

/** One tab. */
export class Page {
    /** What went wrong in it: exceptions, errors on the console, violations of the security policy. */
    troubles = [];
    #routes = [];

    constructor(browser, sessionId) {
        this.browser = browser;
        this.sessionId = sessionId;
        browser.listen((message) => message.sessionId === sessionId && this.#event(message));
    }

    call(method, params) {
        return this.browser.call(method, params, this.sessionId);
    }

    async goto(url) {
        const loaded = new Promise((resolve) => (this.onLoad = resolve));
        await this.call("Page.navigate", { url });
        await loaded;
    }

    /** The value of an expression or, with arguments, of a function; promises are awaited. */
    async run(code, ...values) {
        const expression = typeof code === "function" ? `(${code})(...${JSON.stringify(values)})` : code;
        const params = { expression, awaitPromise: true, returnByValue: true, userGesture: true };
        const { result, exceptionDetails } = await this.call("Runtime.evaluate", params);
        if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
        return result.value;
    }

    /** Waits until the function gives something that is true, and gives it. */
    async until(code, ...values) {
        const end = Date.now() + LIMIT_MILLISECONDS;
        for (;;) {
            const value = await this.run(code, ...values);
            if (value) return value;
            if (Date.now() > end) throw new Error(`never true: ${code} with ${JSON.stringify(values)}`);
            await new Promise((resolve) => setTimeout(resolve, 25));
        }
    }

    /** Answers requests whose URL has `ending` by itself, `times` times: { status, headers, body }. */
    async route(ending, answer, times = Infinity) {
        this.#routes.push({ ending, answer, times });
        await this.call("Fetch.enable", { patterns: [{ urlPattern: "*" }] });
    }

    async type(text) {
        await this.call("Input.insertText", { text });
    }

    async press(key, { shift = false } = {}) {
        const codes = { Tab: 9, Enter: 13, Escape: 27, " ": 32, ArrowLeft: 37, ArrowRight: 39, Home: 36, End: 35 };
        const text = { Enter: "\r", " ": " " }[key];
        const event = { key, code: key === " " ? "Space" : key, windowsVirtualKeyCode: codes[key], modifiers: shift ? 8 : 0 };
        await this.call("Input.dispatchKeyEvent", { type: text ? "keyDown" : "rawKeyDown", text, ...event });
        await this.call("Input.dispatchKeyEvent", { type: "keyUp", ...event });
    }

    /** Chooses files in an input, as the file dialog does. */
    async choose(selector, files) {
        const { root } = await this.call("DOM.getDocument");
        const { nodeId } = await this.call("DOM.querySelector", { nodeId: root.nodeId, selector });
        await this.call("DOM.setFileInputFiles", { nodeId, files });
    }

    /** Drops files from outside the browser. */
    async drop(files, x, y) {
        const data = { items: [], files, dragOperationsMask: 1 };
        for (const type of ["dragEnter", "dragOver", "drop"]) await this.call("Input.dispatchDragEvent", { type, x, y, data });
    }

    async screenshot(path, { whole = false } = {}) {
        const { data } = await this.call("Page.captureScreenshot", { captureBeyondViewport: whole });
        writeFileSync(path, Buffer.from(data, "base64"));
    }

    #event({ method, params }) {
        if (method === "Page.loadEventFired") this.onLoad?.();
        if (method === "Runtime.exceptionThrown") {
            const { exception, text } = params.exceptionDetails;
            this.troubles.push(exception?.description ?? text);
        }
        if (method === "Runtime.consoleAPICalled" && params.type === "error") {
            this.troubles.push(params.args.map((arg) => arg.value ?? arg.description).join(" "));
        }
        // A refused request is logged by the network; those are what some tests are about.
        if (method === "Log.entryAdded" && params.entry.level === "error" && params.entry.source !== "network") {
            this.troubles.push(params.entry.text);
        }
        if (method === "Fetch.requestPaused") this.#answer(params);
    }

    #answer({ requestId, request }) {
        const route = this.#routes.find(({ ending, times }) => times > 0 && new URL(request.url).pathname.endsWith(ending));
        if (!route) return this.call("Fetch.continueRequest", { requestId }).catch(() => {});
        route.times -= 1;
        const { status = 200, headers = {}, body = "" } = route.answer;
        if (status === 0) return this.call("Fetch.failRequest", { requestId, errorReason: "ConnectionRefused" });
        return this.call("Fetch.fulfillRequest", {
            requestId,
            responseCode: status,
            responseHeaders: Object.entries(headers).map(([name, value]) => ({ name, value: String(value) })),
            body: Buffer.from(typeof body === "string" ? body : JSON.stringify(body)).toString("base64"),
        });
    }
}
