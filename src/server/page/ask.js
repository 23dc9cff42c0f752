// One question until it is answered: waits while models load or the queue is full, and says so.

import { ApiError, isReady, streamChat } from "./api.js";

/** A request that ended the worker would end it again: a question is put this often at most after a 503. */
const MAX_STARTS = 3;
const MAX_BUSY = 8;
const DEFAULT_WAIT_SECONDS = 2;

export const LOADING = "The models are loading; your question waits.";

/**
 * What happens on the way to the answer, one of
 * `{ waiting: words }`, `{ progress: { phase, share } }`, `{ text }`, and at the end `{ finish, sgl }`. What was said before a
 * wait is void: the answer begins anew.
 */
export async function* ask(request, signal) {
    let starts = 0;
    let busy = 0;
    for (;;) {
        try {
            yield* once(request, signal);
            return;
        } catch (error) {
            if (error.status === 503 && ++starts < MAX_STARTS) {
                yield { waiting: LOADING };
                await ready(signal);
            } else if (error.status === 429 && ++busy < MAX_BUSY) {
                const seconds = Math.ceil(error.retryAfterSeconds ?? DEFAULT_WAIT_SECONDS);
                for (let left = seconds; left > 0; left--) {
                    yield { waiting: `The server is busy; asking again in ${left} s.` };
                    await pause(1000, signal);
                }
            } else {
                throw error;
            }
        }
    }
}

async function* once(request, signal) {
    let end = null;
    for await (const chunk of streamChat(request, signal)) {
        const { prompt_progress: progress, choices = [] } = chunk;
        if (progress) yield { progress: { phase: progress.phase, share: shareOf(progress) } };
        const [choice] = choices;
        if (choice?.delta?.content) yield { text: choice.delta.content };
        if (choice?.finish_reason) end = { finish: choice.finish_reason, sgl: chunk.sgl ?? null };
    }
    if (!end) throw new ApiError(0, "The answer has no end; is this page from the same version as the server?");
    yield end;
}

/** Of the work of the phase; what the cache holds counts as done. */
function shareOf({ total, processed }) {
    return total > 0 ? Math.min(processed / total, 1) : 0;
}

/** Until the models are loaded. */
export async function ready(signal) {
    while (!(await isReady(signal))) await pause(1000, signal);
}

/** Rejects as an aborted fetch does. */
export function pause(milliseconds, signal) {
    return new Promise((resolve, reject) => {
        const stop = () => reject(signal.reason);
        if (signal?.aborted) return stop();
        const timer = setTimeout(() => {
            signal?.removeEventListener("abort", stop);
            resolve();
        }, milliseconds);
        signal?.addEventListener("abort", () => (clearTimeout(timer), stop()), { once: true });
    });
}
