// The page's modules that need no server's answer, run where they run for users: in the browser.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Chromium } from "./chromium.mjs";
import { serve } from "./server.mjs";

let browser, server, page;

before(async () => {
    [browser, server] = [new Chromium(), await serve()];
    page = await browser.open({ width: 800, height: 600 });
    await page.goto(server.url);
});
after(async () => {
    await browser?.close();
    await server?.stop();
});

/** What `name` of a module gives for these arguments. */
function call(module, name, ...values) {
    const code = async (module, name, values) => (await import(`/page/${module}.js`))[name](...values);
    return page.run(code, module, name, values);
}

test("a union of rectangles has its borders, and none inside", async () => {
    const borders = async (...rects) => (await call("outline", "borders", rects)).map(String).sort();
    assert.deepEqual(await borders(), []);
    assert.deepEqual(await borders([0, 0, 2, 1]), ["0,0,0,1", "0,0,2,0", "0,1,2,1", "2,0,2,1"]);
    // Two that touch are one, also where they overlap.
    assert.deepEqual(await borders([0, 0, 2, 1], [2, 0, 4, 1]), ["0,0,0,1", "0,0,4,0", "0,1,4,1", "4,0,4,1"]);
    assert.deepEqual(await borders([0, 0, 3, 1], [2, 0, 4, 1]), ["0,0,0,1", "0,0,4,0", "0,1,4,1", "4,0,4,1"]);
    // An L has six sides, a ring eight.
    assert.equal((await borders([0, 0, 1, 2], [1, 1, 2, 2])).length, 6);
    const ring = [[0, 0, 3, 1], [0, 2, 3, 3], [0, 1, 1, 2], [2, 1, 3, 2]];
    assert.equal((await borders(...ring)).length, 8);
});

test("server-sent events survive any cut of the stream", async () => {
    const read = (cuts) => page.run(async (cuts) => {
        const { eventData } = await import("/page/sse.js");
        const bytes = new TextEncoder().encode(": ping\n\ndata: é1\r\n\r\ndata:2\ndata: 3\n\nid: 4\n\ndata: 5");
        const body = new ReadableStream({
            start(stream) {
                let from = 0;
                for (const to of [...cuts, bytes.length]) stream.enqueue(bytes.slice(from, to)), (from = to);
                stream.close();
            },
        });
        const found = [];
        for await (const data of eventData(body)) found.push(data);
        return found;
    }, cuts);
    // The last event was never ended.
    for (let cut = 0; cut < 48; cut++) assert.deepEqual(await read([cut]), ["é1", "2\n3"], `cut at ${cut}`);
    assert.deepEqual(await read([...Array(48).keys()]), ["é1", "2\n3"]);
});

test("numbers are words with their unit", async () => {
    const words = async (name, ...values) => (await call("words", name, ...values)).replaceAll?.("\u00a0", " ");
    assert.equal(await words("percent", 0.3), "30 %");
    assert.equal(await words("percent", 0.0234), "2.3 %");
    assert.equal(await words("duration", 0.004), "< 0.1 ms");
    assert.equal(await words("duration", 4.24), "4.2 ms");
    assert.equal(await words("duration", 431.6), "432 ms");
    assert.equal(await words("duration", 1234), "1.23 s");
    assert.deepEqual(await call("words", "scores", 0.8496, 0.85), ["0.8496", "0.8500"]);
    assert.deepEqual(await call("words", "scores", 0.9, 0.85), ["0.90", "0.85"]);
});

test("a verdict says who answered and why", async () => {
    const visual = { tokens: 1280, kept: 153, tiles: { all: 5, needed: 4 } };
    const exit = { confidence: 0.98, consistency: 0.95, score: 0.965, threshold: 0.85, exited: true };
    const of = async (sgl) => {
        const { who, reasons, gauges } = await call("verdict", "verdict", { visual, exit, guide: { answer: "8" }, ...sgl });
        return { text: [who, ...reasons].join(" ").replaceAll("\u00a0", " "), gauges };
    };
    const target = await of({ source: "target", exit: { ...exit, score: 0.4, exited: false } });
    assert.match(target.text, /The target answered\. The guide's score of 0\.40 is below the threshold of 0\.85/);
    assert.match(target.text, /read 153 of 1,280 visual tokens \(12 %\), in 4 of 5 tiles\. The guide itself said: “8”/);
    assert.deepEqual(target.gauges.map(({ value }) => value), [0.98, 0.95, 0.4]);
    const guide = await of({ source: "guide", visual: { ...visual, kept: 1280 } });
    assert.match(guide.text, /The guide answered alone\. Its score of 0\.96?\d* reaches the threshold of 0\.85/);
    assert.match(guide.text, /The target did not run; the guide read all 1,280 visual tokens/);
    const unsure = await of({ source: "target", exit: { ...exit, confidence: 0.5, consistency: null, score: null } });
    assert.match(unsure.text, /confidence of 0\.50 was too low to reach the threshold of 0\.85/);
    assert.match((await of({ source: "target", exit: null })).text, /Early exit is off/);
    assert.match((await of({ source: "target", exit: null, guide: null })).text, /No guide looked first/);
});

test("times by phase add up", async () => {
    const timings = { guide_encode: 20, guide_prefill: 30, consistency: null, target_prefill: 40, total: 100 };
    const parts = await call("bar", "parts", timings);
    assert.deepEqual(parts.map(({ phase, ms }) => [phase, ms]), [
        ["guide_encode", 20],
        ["guide_prefill", 30],
        ["target_prefill", 40],
        ["between", 10],
    ]);
    assert.match(await call("bar", "comparison", timings, 250), /^2\.5 times as fast as the unpruned target.*by estimate/);
    assert.match(await call("bar", "comparison", timings, 50), /took 2\.0 times as long.*by estimate/);
    assert.match(await call("bar", "comparison", timings, null), /did not run/);
});
