// Who answered and why, in words.

import { count, percent, scores } from "./words.js";

/** `sgl` is the server's account of an answer. Gives { who, reasons: sentences, gauges: [{ name, value, threshold }] }. */
export function verdict(sgl) {
    const { source, exit, guide } = sgl;
    const who = source === "guide" ? "The guide answered alone." : "The target answered.";
    const reasons = [source === "guide" ? exited(exit) : notExited(sgl), whatWasRead(sgl)];
    if (guide && source === "target") reasons.push(guideAlone(guide.answer));
    return { who, reasons: reasons.filter(Boolean), gauges: guide ? gauges(exit ?? {}) : [] };
}

function exited({ score, threshold }) {
    const [reached, least] = scores(score, threshold);
    return (
        `Its score of ${reached} reaches the threshold of ${least}: it was sure of its words, ` +
        "and still was when it saw only the tokens that it had looked at most."
    );
}

function notExited({ exit, guide, visual }) {
    if (visual.tokens === 0) return "There is no picture to look at.";
    if (!guide) return "No guide looked first.";
    if (!exit) return "Early exit is off: the guide only showed where to look.";
    const { score, confidence, threshold } = exit;
    if (score === null) {
        const [sure, least] = scores(confidence, threshold);
        return (
            `The guide's confidence of ${sure} was too low to reach the threshold of ${least} ` +
            "however consistent it were, so consistency was not measured."
        );
    }
    const [reached, least] = scores(score, threshold);
    return `The guide's score of ${reached} is below the threshold of ${least}, so its answer was not final.`;
}

function whatWasRead({ source, visual: { tokens, kept, tiles } }) {
    if (tokens === 0) return null;
    const reader = source === "guide" ? "The target did not run; the guide" : "The target";
    const amount = kept === tokens ? `all ${count(tokens)}` : `${count(kept)} of ${count(tokens)}`;
    const share = kept === tokens ? "" : ` (${percent(kept / tokens)})`;
    const where = tiles.all > 1 ? `, in ${count(tiles.needed)} of ${count(tiles.all)} tiles` : "";
    return `${reader} read ${amount} visual tokens${share}${where}.`;
}

function guideAlone(answer) {
    return answer.trim() === "" ? "The guide itself said nothing." : `The guide itself said: “${answer.trim()}”`;
}

/** What was measured, for drawing; null where it was not. */
function gauges({ confidence = null, consistency = null, score = null, threshold = null }) {
    return [
        { name: "Confidence", value: confidence, threshold: null },
        { name: "Consistency", value: consistency, threshold: null },
        { name: "Score", value: score, threshold },
    ];
}
