// One of the numbers that decide an early exit, as a line beside its name.

import { element } from "./dom.js";
import { scores } from "./words.js";

/** A name, a line from 0 to 1, and the number. The threshold is a tick on the line. */
export function gauge({ name, value, threshold }) {
    const line = element("i", { className: "line" });
    const level = element("i", { className: "level" });
    level.style.inlineSize = `${(value ?? 0) * 100}%`;
    line.append(level);
    let words = value === null ? "not measured" : value.toFixed(2);
    if (threshold !== null) {
        const tick = element("i", { className: "tick" });
        tick.style.insetInlineStart = `${threshold * 100}%`;
        line.append(tick);
        const [reached, least] = scores(value ?? threshold, threshold);
        words = value === null ? `threshold ${least}` : `${reached}, threshold ${least}`;
    }
    return [element("dt", {}, name), element("dd", {}, line, element("span", {}, words))];
}
