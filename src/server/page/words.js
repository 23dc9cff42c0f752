// Numbers as people read them, on one line with their unit.

const COUNT = new Intl.NumberFormat("en");

export function count(n) {
    return COUNT.format(n);
}

/** A share (0 to 1); small ones are not rounded away. */
export function percent(share) {
    const value = share * 100;
    return `${value > 0 && value < 10 ? Number(value.toPrecision(2)) : Math.round(value)}\u00a0%`;
}

export function duration(milliseconds) {
    if (milliseconds >= 10_000) return `${(milliseconds / 1000).toFixed(1)}\u00a0s`;
    if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(2)}\u00a0s`;
    if (milliseconds < 0.1) return "<\u00a00.1\u00a0ms";
    return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)}\u00a0ms`;
}

/** Two scores, with as many digits as it takes to tell them apart. */
export function scores(a, b) {
    const written = [2, 3, 4].map((digits) => [a, b].map((value) => value.toFixed(digits)));
    return a === b ? written[0] : (written.find(([a, b]) => a !== b) ?? written[2]);
}

/** The fact of an error message and, behind a semicolon, its fix, as sentences; "" where there is no fix. */
export function factAndFix(message) {
    const [fact, ...fixes] = message.trim().split("; ");
    return [fact, fixes.join("; ")].map(sentence);
}

function sentence(words) {
    return words && words[0].toUpperCase() + words.slice(1).replace(/[.]?$/, ".");
}
