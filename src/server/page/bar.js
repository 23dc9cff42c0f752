// Where the time went: one bar of phases beside the estimate of an unpruned target.

import { element } from "./dom.js";
import { duration } from "./words.js";

const PHASES = [
    ["guide_encode", "Guide encodes"],
    ["guide_prefill", "Guide reads"],
    ["guide_decode", "Guide answers"],
    ["consistency", "Guide checks itself"],
    ["target_encode", "Target encodes"],
    ["target_prefill", "Target reads"],
    ["target_decode", "Target answers"],
];
/** Time between phases below this share of the whole is not worth a segment. */
const LEAST_SHARE = 0.005;

/** `timings` is the server's timings_ms, `estimate` milliseconds of the target alone, or null where nothing is known. */
export function timeBar(timings, estimate) {
    const segments = parts(timings);
    const longest = Math.max(timings.total, estimate ?? 0);
    const rows = [row("This answer", timings.total, longest, segments)];
    if (estimate !== null) {
        rows.push(row("Unpruned target (estimate)", estimate, longest, [{ phase: "estimate", ms: estimate }]));
    }
    const legend = element("ul", { className: "legend" }, ...segments.map(legendItem));
    return [element("dl", { className: "bars" }, ...rows.flat()), legend];
}

/** The ratio of both, as a sentence. */
export function comparison(timings, estimate) {
    if (!estimate) return "The target did not run, so there is no estimate of how long it would have taken without a guide.";
    const ratio = timings.total / estimate;
    if (ratio > 0.95 && ratio < 1.05) return "It took as long as the unpruned target alone would have, by estimate.";
    if (ratio < 1) return `${times(1 / ratio)} times as fast as the unpruned target alone would have been, by estimate.`;
    return `It took ${times(ratio)} times as long as the unpruned target alone would have, by estimate.`;
}

function times(factor) {
    return factor < 10 ? factor.toFixed(1) : Math.round(factor);
}

/** Phases that ran, and what lies between them. */
export function parts(timings) {
    const ran = PHASES.filter(([phase]) => typeof timings[phase] === "number");
    const found = ran.map(([phase, name]) => ({ phase, name, ms: timings[phase] }));
    const between = timings.total - found.reduce((sum, { ms }) => sum + ms, 0);
    if (between > timings.total * LEAST_SHARE) found.push({ phase: "between", name: "In between", ms: between });
    return found;
}

function row(name, total, longest, segments) {
    const bar = element("div", { className: "bar" }, ...segments.map((segment) => drawn(segment, longest)));
    return [element("dt", {}, name), element("dd", {}, bar, element("span", {}, duration(total)))];
}

function drawn({ phase, ms }, longest) {
    const segment = element("i", { className: phase });
    segment.style.flexBasis = `${(ms / longest) * 100}%`;
    return segment;
}

function legendItem({ phase, name, ms }) {
    return element("li", {}, element("i", { className: phase }), element("span", {}, name), element("b", {}, duration(ms)));
}
