// The page in a real browser against `sgl serve` with the embedded pair.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, before, describe, test } from "node:test";
import { Chromium } from "./chromium.mjs";
import { ROOT, serve, start } from "./server.mjs";

const DESK = { width: 1280, height: 860 };
const PHONE = { width: 390, height: 844, isMobile: true };
const SAMPLES = JSON.parse(readFileSync(`${ROOT}models/pictures/questions.json`));
const FLAT = `${ROOT}models/pictures/flat.png`;
const TEXTURE = `${ROOT}models/pictures/texture.png`;
const TILED = `${ROOT}models/held-out-large/images/0021.png`;
const [{ question: QUESTION, answer: ANSWER }] = SAMPLES.find(({ image }) => image === "flat.png").questions;
/** Where pictures of the page go, for people to look at. */
const SHOTS = process.env.SHOTS;

let browser, server;

before(async () => {
    [browser, server] = [new Chromium(), await serve()];
    if (SHOTS) mkdirSync(SHOTS, { recursive: true });
});
after(async () => {
    await browser?.close();
    await server?.stop();
});

/** A page that is ready to be asked. */
async function open(options = DESK, url = server.url) {
    const page = await browser.open(options);
    await page.call("Page.addScriptToEvaluateOnNewDocument", {
        source: `window.shifts = [];
            new PerformanceObserver((list) => {
                for (const { value, hadRecentInput, sources } of list.getEntries()) {
                    const name = (node) => node?.dataset?.part || node?.id || node?.className || node?.nodeName;
                    const at = ({ x, y }) => [x, y].map(Math.round);
                    const moved = sources.map((of) => [name(of.node), at(of.previousRect), at(of.currentRect)]);
                    if (!hadRecentInput) shifts.push({ value, moved });
                }
            }).observe({ type: "layout-shift", buffered: true });`,
    });
    await page.goto(url);
    await page.until(() => document.getElementById("pair").textContent !== "");
    return page;
}

async function add(page, ...files) {
    const before = await page.run(() => document.querySelectorAll("#tray li").length);
    await page.choose("#files", files);
    await page.until((n) => document.querySelectorAll("#tray li").length === n, before + files.length);
}

async function begin(page, question) {
    await page.run(() => document.getElementById("question").focus());
    await page.type(question);
    await page.press("Enter");
}

/** Asks, waits for the end, and gives what the last question shows. */
async function ask(page, question, ...files) {
    if (files.length > 0) await add(page, ...files);
    const n = await page.run(() => document.querySelectorAll(".turn").length);
    await begin(page, question);
    await page.until((n) => document.querySelectorAll(".turn").length === n && !document.querySelector(".busy"), n + 1);
    return last(page);
}

function last(page) {
    return page.run(() => {
        const turn = [...document.querySelectorAll(".turn")].at(-1);
        const part = (name) => turn.querySelector(`[data-part=${name}]`);
        const plain = (text) => text.replaceAll("\u00a0", " ");
        const words = (name) => (part(name).closest("[hidden]") ? null : plain(part(name).innerText));
        return {
            source: turn.dataset.source,
            text: part("text").textContent,
            status: words("status"),
            who: words("who"),
            reasons: words("reasons"),
            gauges: words("gauges"),
            time: words("time"),
            comparison: words("comparison"),
            failure: words("failure"),
            captions: [...turn.querySelectorAll("[data-part=caption]")].map((caption) => plain(caption.textContent)),
            attempts: [...turn.querySelectorAll(".attempts li")].map((attempt) => plain(attempt.innerText)),
            hasLevels: !part("levels").classList.contains("absent"),
        };
    });
}

/** Puts a slider of the last question at a value, as a user's drag does. */
function slide(page, name, value) {
    return page.run((name, value) => {
        const slider = [...document.querySelectorAll(`[data-part=${name}]`)].at(-1);
        slider.value = value;
        slider.dispatchEvent(new Event("input"));
        slider.dispatchEvent(new Event("change"));
    }, name, value);
}

/** Asks the last question again with this share for the target. */
async function again(page, percent) {
    const n = await page.run(() => document.querySelectorAll(".attempts li").length);
    await slide(page, "retain", percent);
    await page.until((n) => document.querySelectorAll(".attempts li").length > n && !document.querySelector(".busy"), n);
    return last(page);
}

/** How many pixels of a heat map have the colour of the outline, and all of them as one number. */
function pixels(page, picture = 0) {
    return page.run((picture) => {
        const turn = [...document.querySelectorAll(".turn")].at(-1);
        const canvas = turn.querySelectorAll("canvas")[picture];
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let [outline, painted, hash] = [0, 0, 7];
        for (let i = 0; i < data.length; i += 4) {
            const [r, g, b, a] = data.subarray(i, i + 4);
            if (r === 255 && g === 196 && b === 0 && a === 255) outline += 1;
            if (a > 0) painted += 1;
            hash = (hash * 31 + r * 7 + g * 5 + b * 3 + a) | 0;
        }
        return { outline, painted, hash };
    }, picture);
}

async function shot(page, name) {
    if (SHOTS) await page.screenshot(`${SHOTS}/${name}.png`);
}

/** Nothing was logged, nothing is larger than the window, the last question is in view, and nothing moved by itself. */
async function isSound(page) {
    assert.deepEqual(page.troubles, []);
    await fits(page);
    const shifts = await page.run(() => window.shifts);
    const moved = shifts.reduce((sum, { value }) => sum + value, 0);
    assert.ok(moved < 0.01, `content moved by itself: ${JSON.stringify(shifts)}`);
    const isInView = await page.run(() => {
        const heading = [...document.querySelectorAll(".turn h2")].at(-1);
        return !heading || heading.getBoundingClientRect().top >= document.querySelector("main").offsetTop;
    });
    assert.ok(isInView, "the question is out of view");
}

async function fits(page) {
    const sizes = await page.run(() => {
        const { scrollWidth, scrollHeight } = document.documentElement;
        return [scrollWidth - innerWidth, scrollHeight - innerHeight];
    });
    assert.ok(Math.max(...sizes) <= 0, `the page is larger than its window: ${sizes}`);
}

describe("answers", () => {
    for (const [name, options] of [["desk", DESK], ["phone", PHONE]]) {
        test(`a question about a picture on a ${name}`, async () => {
            const page = await open(options);
            await shot(page, `${name}-empty`);
            const first = await ask(page, QUESTION, FLAT);
            await shot(page, `${name}-answer`);
            assert.equal(first.text, ANSWER);
            assert.match(first.status, /^Answered by the (guide|target) in/);
            assert.match(first.captions[0], /^\d+ of 256 tokens read$/);
            assert.match(first.gauges, /Confidence\s+[01]\.\d\d\s+Consistency\s+[01]\.\d\d\s+Score\s+[01]\.\d\d/);
            assert.ok((await pixels(page)).painted > 10_000, "there is no heat map");

            const guided = await again(page, 12);
            await shot(page, `${name}-again`);
            assert.equal(guided.source, "target");
            assert.equal(guided.who, "The target answered.");
            assert.match(guided.reasons, /read 3[01] of 256 visual tokens \(12 %\)/);
            assert.match(guided.captions[0], /^3[01] of 256 tokens read$/);
            assert.match(guided.time, /This answer.*Unpruned target \(estimate\)/s);
            assert.match(guided.comparison, /by estimate/);
            assert.deepEqual(guided.attempts.length, 2);
            const few = await pixels(page);
            assert.ok(few.outline > 100, "nothing is outlined");

            const half = await again(page, 50);
            assert.match(half.captions[0], /^128 of 256 tokens read$/);
            assert.notEqual((await pixels(page)).hash, few.hash);
            await isSound(page);
        });
    }

    test("an early exit says that the guide's answer is final", async () => {
        const page = await open();
        let found = null;
        for (const { image, questions } of SAMPLES) {
            for (const { question } of found ? [] : questions) {
                await page.run(() => document.getElementById("fresh").click());
                const shown = await ask(page, question, `${ROOT}models/pictures/${image}`);
                if (shown.source === "guide") found = shown;
            }
        }
        await shot(page, "exit");
        assert.ok(found, "no question of the samples ends with the guide");
        assert.match(found.reasons, /score of [01]\.\d+ reaches the threshold of 0\.\d+/);
        assert.match(found.reasons, /The target did not run; the guide read all 256 visual tokens/);
        assert.match(found.comparison, /no estimate/);
        await isSound(page);
    });

    test("the slider goes from the picture to the attention", async () => {
        const page = await open();
        await ask(page, QUESTION, FLAT);
        const seen = [];
        for (const mix of [0, 40, 100]) {
            await slide(page, "mix", mix);
            seen.push(await pixels(page));
        }
        assert.equal(new Set(seen.map(({ hash }) => hash)).size, 3);
        assert.ok(seen[0].painted < seen[2].painted);
    });

    test("the early exit alone is switched, and what is forgotten is not asked again", async () => {
        const counted = await serve("--retain", "64t", "--exit-threshold", "0.99");
        try {
            const page = await open(DESK, counted.url);
            assert.match((await ask(page, QUESTION, FLAT)).captions[0], /^64 of 256 tokens read$/);
            await page.run(() => document.querySelector("[data-part=exit]").click());
            await page.until(() => document.querySelectorAll(".attempts li").length === 2);
            assert.match((await last(page)).captions[0], /^64 of 256 tokens read$/);
            const notice = () => page.run(() => document.getElementById("notice").textContent);
            assert.equal(await notice(), "From now on the guide does not answer alone.");
            await slide(page, "retain", 12);
            await page.run(() => document.getElementById("fresh").click());
            await page.run(() => new Promise((go) => setTimeout(go, 700)));
            assert.deepEqual([await page.run(() => document.getElementById("stop").hidden), await notice()], [true, ""]);
        } finally {
            await counted.stop();
        }
    });

    test("several pictures, of tiles and of one, stay in the conversation", async () => {
        const page = await open();
        const first = await ask(page, "Which character is on the orange diamond?", TILED, FLAT);
        assert.equal(first.text, "4");
        assert.ok(first.hasLevels);
        assert.equal(first.captions.length, 2);
        assert.match(first.captions[0], /of 768 tokens read, \d+ % of the attention$/);
        const tiles = await pixels(page);
        await page.run(() => document.querySelector("[data-part=overview]").click());
        assert.notEqual((await pixels(page)).hash, tiles.hash);
        const width = () => page.run(() => document.querySelector("canvas").width);
        const narrow = await width();
        await page.run(() => document.querySelector("[data-part=grow]").click());
        await page.until((narrow) => document.querySelector("canvas").width > 1.5 * narrow, narrow);
        const second = await ask(page, "Count the green objects.", TEXTURE);
        assert.equal(second.captions.length, 3);
        await shot(page, "several");
        await isSound(page);
        await page.run(() => document.getElementById("fresh").click());
        assert.equal(await page.run(() => document.querySelectorAll(".turn").length), 0);
    });

    test("without a guide there is an answer, and nothing to compare it with", async () => {
        const model = (name) => `${ROOT}models/${name}.gguf`;
        const alone = await serve("-m", model("target"), "--mmproj", model("mmproj-target"));
        try {
            const page = await open(DESK, alone.url);
            const shown = await ask(page, QUESTION, FLAT);
            assert.equal(shown.text, ANSWER);
            assert.match(shown.reasons, /No guide looked first\.\s+The target read all 256 visual tokens\./);
            assert.doesNotMatch(shown.time, /estimate/);
            assert.deepEqual([shown.comparison, shown.gauges], ["", null]);
            await isSound(page);
        } finally {
            await alone.stop();
        }
    });

    test("what is written is text, never markup", async () => {
        const page = await open();
        const markup = "<img src=x onerror=alert(1)><b>bold</b>";
        await ask(page, markup, FLAT);
        assert.equal(await page.run(() => document.querySelector(".turn h2").textContent), markup);
        assert.equal(await page.run(() => document.querySelector(".turn h2").childElementCount), 0);
        assert.deepEqual(page.troubles, []);
    });
});

describe("pictures", () => {
    test("are dropped, pasted and taken away", async () => {
        const page = await open();
        await page.drop([FLAT, TEXTURE], 400, 400);
        await page.until(() => document.querySelectorAll("#tray li").length === 2);
        assert.equal(await page.run(() => document.body.classList.contains("dragged")), false);
        const data = readFileSync(FLAT).toString("base64");
        await page.run(async (data) => {
            const transfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
            transfer.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
            document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
        }, data);
        await page.until(() => document.querySelectorAll("#tray li").length === 3);
        await page.run(() => document.querySelector("#tray button").click());
        const names = await page.run(() => [...document.querySelectorAll("#tray img")].map((image) => image.alt));
        assert.deepEqual(names, ["texture.png", "pasted.png"]);
        assert.deepEqual(page.troubles, []);
        await fits(page);
    });

    test("that are still being read are waited for", async () => {
        const page = await open();
        await page.run(() => {
            const open = window.createImageBitmap;
            const isAllowed = new Promise((allow) => (window.allow = allow));
            window.createImageBitmap = async (...of) => (await isAllowed, open(...of));
        });
        await page.choose("#files", [FLAT]);
        await begin(page, QUESTION);
        await page.until(() => document.getElementById("notice").textContent === "Reading the pictures first.");
        await page.run(() => window.allow());
        await page.until(() => document.querySelector(".answered"));
        const shown = await last(page);
        assert.deepEqual([shown.text, shown.captions.length], [ANSWER, 1]);
    });

    test("must be pictures", async () => {
        const page = await open();
        await page.drop([`${ROOT}README.md`], 400, 400);
        await page.until(() => document.getElementById("notice").textContent.startsWith("Only pictures can be added"));
    });
});

describe("errors", () => {
    test("a damaged picture is named, and does not stand in the way", async () => {
        const page = await open();
        const damaged = `${tmpdir()}/sgl-damaged.png`;
        writeFileSync(damaged, readFileSync(FLAT).subarray(0, 300));
        const { failure } = await ask(page, QUESTION, damaged);
        await shot(page, "error");
        assert.match(failure, /^[A-Z].*(picture|PNG)/);
        // Both are back to be changed.
        assert.equal(await page.run(() => document.getElementById("question").value), QUESTION);
        await page.run(() => document.querySelector("#tray button").click());
        await page.run(() => (document.getElementById("question").value = ""));
        assert.equal((await ask(page, QUESTION, FLAT)).text, ANSWER);
        await isSound(page);
    });

    test("a server that asks for a key gets it", async () => {
        const locked = await serve("--api-key", "open sesame");
        try {
            const page = await browser.open(DESK);
            await page.goto(locked.url);
            await page.until(() => document.getElementById("key-dialog").open);
            await shot(page, "key");
            await page.type("wrång");
            await page.press("Enter");
            assert.ok(await page.run(() => document.querySelector("#key:invalid")), "browsers send no such key");
            await page.run(() => (document.getElementById("key").value = ""));
            await page.type("wrong");
            await page.press("Enter");
            await page.until(() => document.getElementById("key-dialog").open && document.getElementById("key").value === "");
            await page.type("open sesame");
            await page.press("Enter");
            await page.until(() => document.getElementById("pair").textContent !== "");
            assert.equal((await ask(page, QUESTION, FLAT)).text, ANSWER);
            assert.deepEqual(page.troubles, []);
        } finally {
            await locked.stop();
        }
    });

    test("a busy server is asked again when it says", async () => {
        const page = await open();
        const body = { error: { code: 429, message: "the queue is full; ask again later", type: "rate_limit_error" } };
        await page.route("/v1/chat/completions", { status: 429, headers: { "retry-after": 2 }, body }, 1);
        await add(page, FLAT);
        await begin(page, QUESTION);
        await page.until(() => /busy; asking again in 2 s/.test(document.querySelector("[data-part=status]")?.textContent));
        await page.until(() => /^Answered/.test(document.querySelector("[data-part=status]").textContent));
        assert.equal((await last(page)).text, ANSWER);
        await isSound(page);
    });

    test("a page that is opened before the models are loaded waits for them", async () => {
        const young = await start();
        try {
            assert.equal((await fetch(young.url)).status, 200);
        } finally {
            await young.stop();
        }
        const page = await browser.open(DESK);
        await page.route("/health", { status: 503, body: { error: { message: "Loading model" } } }, 2);
        await page.goto(server.url);
        await page.until(() => document.getElementById("notice").textContent === "The models are loading.");
        await page.until(() => document.getElementById("notice").textContent === "");
        await page.until(() => document.getElementById("pair").textContent !== "");
    });

    test("while models load the question waits", async () => {
        const page = await open();
        const body = { error: { code: 503, message: "Loading model", type: "unavailable_error" } };
        await page.route("/v1/chat/completions", { status: 503, headers: { "retry-after": 1 }, body }, 1);
        await page.route("/health", { status: 503, body }, 2);
        await add(page, FLAT);
        await begin(page, QUESTION);
        await page.until(() => /loading; your question waits/.test(document.querySelector("[data-part=status]")?.textContent));
        await page.until(() => /^Answered/.test(document.querySelector("[data-part=status]").textContent));
        assert.equal((await last(page)).text, ANSWER);
    });

    test("a server that is gone is said to be, and asked again when it is back", async () => {
        const page = await open();
        await page.route("/v1/chat/completions", { status: 0 }, 1);
        await page.route("/health", { status: 0 }, 1);
        const { failure } = await ask(page, QUESTION, FLAT);
        assert.match(failure, /The server cannot be reached\.\s+See whether sgl serve still runs\./);
        await page.until(() => document.getElementById("notice").textContent === "");
        await page.run(() => document.querySelector("[data-part=retry]").click());
        await page.until(() => !document.querySelector(".busy") && document.querySelector(".answered"));
        assert.equal((await last(page)).text, ANSWER);
    });

    test("an answer that is begun anew is not glued to what was said before", async () => {
        const page = await open();
        const chunk = { choices: [{ index: 0, delta: { content: "yel" }, finish_reason: null }] };
        const error = { error: { code: 503, message: "the process that had this request died", type: "unavailable_error" } };
        const body = [chunk, error].map((event) => `data: ${JSON.stringify(event)}\n\n`).join("");
        await page.route("/v1/chat/completions", { headers: { "content-type": "text/event-stream" }, body }, 1);
        assert.equal((await ask(page, QUESTION, FLAT)).text, ANSWER);
        assert.equal((await ask(page, QUESTION)).failure, null);
        await isSound(page);
    });

    test("a question before the server is known waits for it, and asks for what it has", async () => {
        const model = (name) => `${ROOT}models/${name}.gguf`;
        const alone = await serve("-m", model("target"), "--mmproj", model("mmproj-target"));
        try {
            const page = await browser.open(DESK);
            await page.route("/health", { status: 503, body: { error: { message: "Loading model" } } }, 3);
            await page.goto(alone.url);
            await add(page, FLAT);
            await begin(page, QUESTION);
            await page.until(() => document.querySelector(".answered"));
            assert.equal((await last(page)).text, ANSWER);
        } finally {
            await alone.stop();
        }
    });

    test("an answer that breaks off is an error", async () => {
        const page = await open();
        const chunk = { choices: [{ index: 0, delta: { content: "yel" }, finish_reason: null }] };
        const headers = { "content-type": "text/event-stream" };
        await page.route("/v1/chat/completions", { headers, body: `data: ${JSON.stringify(chunk)}\n\n` }, 1);
        const { failure, text } = await ask(page, QUESTION, FLAT);
        assert.match(failure, /broke off/);
        assert.equal(text, "yel");
    });
});

describe("use", () => {
    test("the keyboard is enough", async () => {
        const page = await open();
        const focused = () => page.run(() => {
            const { activeElement: element } = document;
            return element.getAttribute("aria-label") ?? element.textContent.trim().split("\n")[0];
        });
        const order = [];
        for (let i = 0; i < 5; i++) {
            await page.press("Tab");
            order.push(await focused());
        }
        assert.deepEqual(order, ["Conversation", "Add pictures", "Add pictures", "Your question", "Ask"]);
        await add(page, FLAT);
        assert.equal(await focused(), "Your question");
        await page.type(QUESTION);
        await page.press("Enter");
        await page.until(() => document.querySelector(".answered"));
        await page.run(() => document.querySelector("[data-part=retain]").focus());
        await page.press("ArrowRight");
        await page.press("ArrowRight");
        await page.until(() => document.querySelectorAll(".attempts li").length === 2);
        assert.equal(await page.run(() => document.activeElement.dataset.part), "retain");
        const ring = await page.run(() => getComputedStyle(document.activeElement).outlineStyle);
        assert.equal(ring, "solid");
    });

    test("the buttons pass the focus on", async () => {
        const page = await open();
        await add(page, TILED);
        await page.type("Which character is on the orange diamond?");
        await page.run(() => document.getElementById("send").focus());
        await page.press("Enter");
        await page.until(() => document.activeElement.id === "stop");
        await page.until(() => document.querySelector(".answered"));
        await page.until(() => document.activeElement.id === "send");
    });

    test("an answer can be stopped", async () => {
        const page = await open();
        await add(page, TILED);
        await begin(page, "Which character is on the orange diamond?");
        await page.until(() => document.querySelector(".busy"));
        await page.press("Escape");
        await page.until(() => !document.querySelector(".busy"));
        const { failure, status } = await last(page);
        assert.match(failure ?? status, /^Stopped/);
        await page.run(() => document.querySelector("[data-part=retry]").click());
        await page.until(() => document.querySelector(".answered"));
        assert.equal((await last(page)).text, "4");
    });

    test("who does not see the page hears what happens", async () => {
        const page = await open();
        await page.run(() => {
            window.heard = [];
            const announcer = document.getElementById("announcer");
            new MutationObserver(() => heard.push(announcer.textContent)).observe(announcer, { childList: true });
        });
        await ask(page, QUESTION, FLAT);
        const heard = await page.run(() => heard);
        assert.equal(heard.at(-1), `Answer: ${ANSWER}`);
        assert.ok(heard.length > 2, heard.join(", "));
        const label = await page.run(() => document.querySelector("canvas").getAttribute("aria-label"));
        assert.match(label, /^Attention on the picture: most at the/);
    });

    test("axe finds nothing", async () => {
        const axe = readFileSync(`${ROOT}target/page-test/node_modules/axe-core/axe.min.js`, "utf8");
        const check = async (page, name) => {
            await page.run(axe);
            const found = await page.run(async () => {
                const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
                return violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => [id, html, failureSummary]));
            });
            assert.deepEqual(found, [], name);
        };
        for (const options of [DESK, { ...PHONE, isDark: true }, { ...DESK, isDark: true }]) {
            const page = await open({ ...options, isStill: true });
            await check(page, "empty");
            await add(page, FLAT);
            await check(page, "with a picture to ask about");
            await ask(page, QUESTION);
            await again(page, 12);
            await check(page, "answered");
            await page.route("/v1/chat/completions", { status: 400, body: { error: { message: "this is wrong; do that" } } }, 1);
            await ask(page, "Again?");
            await check(page, "failed");
            await page.run(() => document.getElementById("key-dialog").showModal());
            await check(page, "asked for a key");
        }
    });
});
