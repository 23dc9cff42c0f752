// Colours of attention: those of `sgl explain`.

/** From cold to hot in equal steps; lightness grows along it, so it also reads in grey. */
const HEAT_COLOURS = [
    [16, 10, 52],
    [76, 22, 112],
    [158, 38, 106],
    [224, 82, 58],
    [248, 148, 24],
    [255, 230, 92],
];
/** Weight of the coldest colour where the attention is shown alone; the hottest covers the picture. */
const COLD_WEIGHT = 0.85;
/** Quantile from which on the colour is the hottest: a single attention sink must not leave all others black. */
const HOTTEST = 0.98;

/**
 * The colour of `heat` (0 to 1) over the picture; `mix` is 0 for the picture alone, 1 for the attention. On the way hot colours
 * come first, so that the picture stays clear where nothing was looked at.
 */
export function heatColour(heat, mix) {
    const position = heat * (HEAT_COLOURS.length - 1);
    const below = HEAT_COLOURS[Math.floor(position)];
    const above = HEAT_COLOURS[Math.ceil(position)];
    const channels = below.map((channel, i) => Math.round(channel + (above[i] - channel) * (position % 1)));
    const weight = heat * Math.sqrt(mix) + (1 - heat) * COLD_WEIGHT * mix ** 2;
    return `rgb(${channels.join(" ")} / ${weight})`;
}

/** From importance to heat (0 to 1), on a square-root scale over the tokens of one picture. */
export function heatScale(importances) {
    const sorted = [...importances].sort((a, b) => a - b);
    const low = quantile(sorted, 0);
    const high = [HOTTEST, 1].map((share) => quantile(sorted, share)).find((value) => value > low) ?? low + 1;
    return (importance) => Math.sqrt(Math.min(Math.max((importance - low) / (high - low), 0), 1));
}

function quantile(sorted, share) {
    const position = share * Math.max(sorted.length - 1, 0);
    const below = sorted[Math.floor(position)] ?? 0;
    const above = sorted[Math.ceil(position)] ?? 0;
    return below + (above - below) * (position % 1);
}
