// `sgl serve` on a free port, as its users start it.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PROGRAM = process.env.SGL ?? `${ROOT}target/debug/sgl`;
const START_MILLISECONDS = 120_000;

/** A server whose models are loaded. */
export async function serve(...flags) {
    const server = await start(...flags);
    const end = Date.now() + START_MILLISECONDS;
    while ((await fetch(`${server.url}health`)).status !== 200) {
        if (Date.now() > end) throw new Error(`the models are not loaded; the server said:\n${server.log()}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return server;
}

/**
 * Starts a server, with one thread since others need theirs. Gives its `url`, what it logged, and `stop()`, which waits for
 * the end and gives the exit code.
 */
export async function start(...flags) {
    const server = spawn(PROGRAM, ["serve", "--port", "0", "--threads", "1", ...flags], { stdio: ["ignore", "pipe", "pipe"] });
    const ended = new Promise((resolve) => server.once("exit", resolve).once("error", resolve));
    process.once("exit", () => server.kill());
    let [said, log] = ["", ""];
    const url = await new Promise((resolve, reject) => {
        const fail = (why) => reject(new Error(`${PROGRAM} serve ${why}; it said:\n${log}`));
        const timer = setTimeout(() => fail("has not said where it listens"), START_MILLISECONDS);
        ended.then((code) => fail(`ended with ${code}; build it first, or name it in SGL`));
        server.stderr.setEncoding("utf8").on("data", (text) => (log += text));
        server.stdout.setEncoding("utf8").on("data", (text) => {
            const found = /^listening on (\S+)$/m.exec((said += text));
            if (found) resolve(`${found[1]}/`), clearTimeout(timer);
        });
    });
    const stop = async (signal = "SIGTERM") => {
        server.kill(signal);
        return ended;
    };
    return { url, stop, log: () => log };
}
