// The server's HTTP interface: requests, the key, and what goes wrong.

import { eventData } from "./sse.js";

const KEY = "sgl-api-key";

/** What the server, or the way to it, said. `status` is 0 where no answer came. */
export class ApiError extends Error {
    constructor(status, message, retryAfterSeconds = null) {
        super(message);
        this.status = status;
        this.retryAfterSeconds = retryAfterSeconds;
    }
}

/** Kept as long as the tab is open. */
export function setApiKey(key) {
    sessionStorage.setItem(KEY, key);
}

/** The JSON object at `path`. */
export async function getJson(path, signal) {
    const response = await send(path, { signal });
    return parse(await response.text());
}

/** Whether the models are loaded; fails where no server answers. */
export async function isReady(signal) {
    try {
        await send("health", { cache: "no-store", signal });
        return true;
    } catch (error) {
        if (error.status === 503) return false;
        throw error;
    }
}

/** Chunks of one streamed answer. Leaving the loop or aborting the signal hangs up. */
export async function* streamChat(request, signal) {
    const response = await send("v1/chat/completions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ ...request, stream: true, return_progress: true }),
        signal,
    });
    try {
        for await (const data of eventData(response.body)) {
            if (data === "[DONE]") return;
            const chunk = parse(data);
            if (chunk.error) throw new ApiError(chunk.error.code ?? 500, chunk.error.message);
            yield chunk;
        }
    } catch (error) {
        throw error instanceof ApiError || signal.aborted ? error : brokenOff();
    }
    throw brokenOff();
}

function brokenOff() {
    return new ApiError(0, "The connection broke off in the middle of the answer; see whether sgl serve still runs.");
}

/** A response with a good status. Paths are relative to the page, so that it also works behind a prefix. */
async function send(path, options) {
    const key = sessionStorage.getItem(KEY);
    const headers = { ...options.headers, ...(key && { authorization: `Bearer ${key}` }) };
    let response;
    try {
        response = await fetch(new URL(path, document.baseURI), { ...options, headers });
    } catch (error) {
        if (options.signal?.aborted) throw error;
        throw new ApiError(0, "The server cannot be reached; see whether sgl serve still runs.");
    }
    if (response.ok) return response;
    throw await refusal(response);
}

async function refusal(response) {
    const { status, statusText } = response;
    const body = await response.json().catch(() => null);
    const seconds = Number.parseFloat(response.headers.get("retry-after"));
    const message = body?.error?.message ?? `The server answered ${status} ${statusText}.`;
    return new ApiError(status, message, Number.isFinite(seconds) ? seconds : null);
}

function parse(text) {
    try {
        return JSON.parse(text);
    } catch {
        throw new ApiError(0, "The server sent something that is not JSON; is this page from the same version?");
    }
}
