// The official openai package of Node against `sgl serve`: run.mjs starts the server and says where it is.
//
// SGL_URL is the server's root, SGL_KEY its key, PACKAGES the folder that the package was installed in.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const { SGL_URL, SGL_KEY, PACKAGES } = process.env;
const { default: OpenAI } = await import(createRequire(`${PACKAGES}/`).resolve("openai"));
const MODELS = fileURLToPath(new URL("../../models/", import.meta.url));
const [{ image: IMAGE, questions: QUESTIONS }] = JSON.parse(readFileSync(`${MODELS}pictures/questions.json`));
const FLAT = `${MODELS}pictures/${IMAGE}`;
const GREEN = "Tell me the colour of the shape labelled 9."; // of FLAT
const LARGE = readdirSync(`${MODELS}held-out-large/images`).sort().map((name) => `${MODELS}held-out-large/images/${name}`);

const client = (apiKey = SGL_KEY) => new OpenAI({ baseURL: `${SGL_URL}v1`, apiKey, maxRetries: 0 });
const picture = (path) => ({
    type: "image_url",
    image_url: { url: `data:image/png;base64,${readFileSync(path).toString("base64")}` },
});
const user = (text, ...paths) => ({ role: "user", content: [...paths.map(picture), { type: "text", text }] });
const ask = (text, paths, options, more) =>
    client().chat.completions.create({ model: "any", messages: [user(text, ...paths)], ...options }, more);

async function metric(name) {
    const response = await fetch(`${SGL_URL}metrics`, { headers: { authorization: `Bearer ${SGL_KEY}` } });
    const lines = (await response.text()).split("\n").filter((line) => line.split(/[{ ]/)[0] === name);
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

test("pictures are answered", async () => {
    for (const { question, answer } of QUESTIONS) {
        const { choices, usage, sgl } = await ask(question, [FLAT]);
        assert.equal(choices[0].message.content, answer);
        assert.equal(choices[0].finish_reason, "stop");
        assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
        assert.equal(sgl.visual.tokens, 256);
    }
});

test("a stream is the answer in pieces, then what was used", async () => {
    const chunks = [];
    const options = { stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await ask(GREEN, [FLAT], options)) chunks.push(chunk);
    assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""), "green");
    assert.equal(chunks.at(-2).choices[0].finish_reason, "stop");
    assert.ok(chunks.at(-1).usage.completion_tokens > 0);
});

test("the helper for streams gathers the answer", async () => {
    const stream = client().chat.completions.stream({ model: "any", messages: [user(GREEN, FLAT)] });
    const seen = [];
    stream.on("content", (piece) => seen.push(piece));
    assert.equal(await stream.finalContent(), "green");
    assert.equal(seen.join(""), "green");
});

test("log probabilities are those of the answer's tokens", async () => {
    const { choices } = await ask(GREEN, [FLAT], { logprobs: true, top_logprobs: 2 });
    const tokens = choices[0].logprobs.content;
    assert.equal(Buffer.concat(tokens.map(({ bytes }) => Buffer.from(bytes))).toString(), "green");
    for (const { logprob, top_logprobs: top } of tokens) {
        assert.equal(top.length, 2);
        assert.ok(logprob <= 0 && top[0].logprob >= top[1].logprob);
    }
});

test("an answer has the form that was asked for", async () => {
    const schema = {
        type: "object",
        properties: { sure: { type: "boolean" }, shape: { enum: ["circle", "square", "star"] } },
        required: ["sure", "shape"],
        additionalProperties: false,
    };
    const response_format = { type: "json_schema", json_schema: { name: "shape", schema, strict: true } };
    const { choices } = await ask(GREEN, [FLAT], { response_format });
    const value = JSON.parse(choices[0].message.content);
    assert.deepEqual(Object.keys(value), ["sure", "shape"]);
    assert.equal(typeof value.sure, "boolean");
    assert.ok(schema.properties.shape.enum.includes(value.shape));
});

test("an answer stops where it should", async () => {
    const { choices } = await ask(GREEN, [FLAT], { stop: "ee" });
    assert.deepEqual([choices[0].message.content, choices[0].finish_reason], ["gr", "stop"]);
});

test("failures have their class", async () => {
    const wrong = (options) => () => ask(GREEN, [FLAT], options);
    await assert.rejects(wrong({ temperature: -1 }), (error) => {
        assert.ok(error instanceof OpenAI.BadRequestError, error);
        assert.deepEqual([error.param, error.type], ["temperature", "invalid_request_error"]);
        return true;
    });
    await assert.rejects(wrong({ stream: true, n: 2 }), OpenAI.BadRequestError);
    await assert.rejects(() => client("wrong").models.list(), OpenAI.AuthenticationError);
    await assert.rejects(() => client().get("/nothing"), OpenAI.NotFoundError);
    const all = LARGE.slice(0, 6).map((path) => ask("Count the green objects.", [path], { sgl: { exit_threshold: null } }));
    const refused = (await Promise.allSettled(all)).filter(({ status }) => status === "rejected");
    assert.ok(refused.length > 0 && refused.length < all.length, `${refused.length} of ${all.length} were refused`);
    for (const { reason } of refused) assert.ok(reason instanceof OpenAI.RateLimitError, reason);
});

test("leaving a stream stops the work", async () => {
    const options = { stream: true, return_progress: true, sgl: { exit_threshold: null } };
    let start = Date.now();
    for await (const _ of await ask("Count the green objects.", LARGE.slice(6, 9), options));
    const whole = Date.now() - start;
    const [cancelled, answers] = [await metric("sgl_cancelled_total"), await metric("sgl_answers_total")];
    for await (const _ of await ask("Count the green objects.", LARGE.slice(9, 12), options)) break;
    start = Date.now();
    while ((await metric("sgl_requests_running")) > 0) {
        assert.ok(Date.now() - start < whole / 2, "the server works on for nobody");
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal(await metric("sgl_cancelled_total"), cancelled + 1);
    assert.equal(await metric("sgl_answers_total"), answers);
});
