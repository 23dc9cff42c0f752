// One picture under the attention it got, with what was read outlined.

import { heatColour, heatScale } from "./colour.js";
import { element, fromTemplate, part } from "./dom.js";
import { borders } from "./outline.js";
import { count, percent } from "./words.js";

/** How far outlines may reach over the picture's edge, in CSS pixels; style.css has the same. */
const MARGIN = 3;
const VEIL = 0.62;
const OUTLINE = "rgb(255 196 0)";
const OUTLINE_EDGE = "rgb(28 24 0)";
const NINTHS = ["upper left", "top", "upper right", "left", "centre", "right", "lower left", "bottom", "lower right"];

export class HeatMap {
    #canvas;
    #caption;
    #tokens = [];
    #isPruned = false;
    #heat = () => 0;
    #size = null;
    #look = { mix: 0, level: null, outlined: true };

    /** `picture` is one of pictures.js, `label` says which it is of several, which can be enlarged. */
    constructor(picture, label, canGrow) {
        this.root = fromTemplate("picture-template");
        this.#canvas = part(this.root, "canvas");
        this.#caption = part(this.root, "caption");
        const frame = part(this.root, "frame");
        frame.style.aspectRatio = `${picture.width} / ${picture.height}`;
        frame.style.setProperty("--aspect", picture.width / picture.height);
        this.label = label;
        part(this.root, "image").replaceWith(picture.image(`${label}: ${picture.name}`));
        this.#caption.textContent = picture.name;
        const grow = part(this.root, "grow");
        grow.hidden = !canGrow;
        grow.setAttribute("aria-label", `Enlarge ${label}`);
        grow.onclick = () => grow.setAttribute("aria-pressed", this.root.classList.toggle("large"));
        new ResizeObserver(() => this.#draw()).observe(frame);
    }

    /** Levels that the picture was read on: overview, detail, or both. */
    get levels() {
        return [...new Set(this.#tokens.map((token) => token.level))];
    }

    /**
     * `explained` is the server's {width, height, tokens}, `read` the number of tokens and of those that were read, `share` the
     * picture's of the attention on all pictures, or null where there is one only.
     */
    show(explained, read, share) {
        this.#size = [explained.width, explained.height];
        this.#tokens = explained.tokens;
        this.#isPruned = read.kept < read.tokens;
        this.#heat = heatScale(explained.tokens.map((token) => token.importance));
        const attention = share === null ? "" : `, ${percent(share)} of the attention`;
        this.#caption.textContent = `${count(read.kept)} of ${count(read.tokens)} tokens read${attention}`;
        this.#canvas.setAttribute("role", "img");
        this.#canvas.setAttribute("aria-label", `Attention on ${this.label}: most at the ${this.#hottest()}.`);
        this.#draw();
    }

    /** `look` changes any of: mix (0 picture, 1 attention), level, outlined. */
    look(look) {
        Object.assign(this.#look, look);
        this.#draw();
    }

    #draw() {
        const { width, height } = this.#canvas.getBoundingClientRect();
        if (width === 0) return;
        const scale = window.devicePixelRatio;
        Object.assign(this.#canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
        if (!this.#size) return;
        const pen = this.#canvas.getContext("2d");
        const margin = Math.round(MARGIN * scale);
        pen.translate(margin, margin);
        const inside = [this.#canvas.width - 2 * margin, this.#canvas.height - 2 * margin];
        const shown = this.#onLevel().map((token) => ({ ...token, rect: this.#pixels(token.rect, inside) }));
        const kept = shown.filter((token) => token.kept).map((token) => token.rect);
        const { mix, outlined } = this.#look;
        const marked = outlined && this.#isPruned;
        if (marked) veil(pen, inside, kept, VEIL * (1 - mix));
        this.#paint(pen, shown, mix);
        if (marked) outline(pen, kept, scale);
    }

    /** Tokens of the level that is looked at; all of a picture that has not this level. */
    #onLevel() {
        const level = this.levels.includes(this.#look.level) ? this.#look.level : this.levels[0];
        return this.#tokens.filter((token) => token.level === level);
    }

    /** Whole pixels, so that neighbours meet without a seam; padding lies beyond the picture and is cut off. */
    #pixels([x0, y0, x1, y1], [width, height]) {
        const at = (value, side, pixels) => Math.round((Math.min(Math.max(value, 0), side) / side) * pixels);
        const [w, h] = this.#size;
        return [at(x0, w, width), at(y0, h, height), at(x1, w, width), at(y1, h, height)];
    }

    /** Where tokens overlap, the hotter one shows. */
    #paint(pen, tokens, mix) {
        if (mix === 0) return;
        const warmed = tokens.map(({ rect, importance }) => ({ rect, heat: this.#heat(importance) }));
        for (const { rect, heat } of warmed.sort((a, b) => a.heat - b.heat)) {
            pen.fillStyle = heatColour(heat, mix);
            pen.fillRect(...sides(rect));
        }
    }

    /** The ninth of the picture that got most attention. */
    #hottest() {
        const masses = new Array(9).fill(0);
        const third = (from, to, side) => Math.min(Math.max(Math.floor((((from + to) / 2) * 3) / side), 0), 2);
        for (const { rect: [x0, y0, x1, y1], importance } of this.#onLevel()) {
            masses[third(y0, y1, this.#size[1]) * 3 + third(x0, x1, this.#size[0])] += importance;
        }
        return NINTHS[masses.indexOf(Math.max(...masses))];
    }
}

/** Darkens what was not read. */
function veil(pen, [width, height], kept, weight) {
    pen.fillStyle = `rgb(0 0 0 / ${weight})`;
    pen.fillRect(0, 0, width, height);
    for (const rect of kept) pen.clearRect(...sides(rect));
}

/** A light line inside a dark one, so that it shows on any picture. */
function outline(pen, kept, scale) {
    const lines = new Path2D();
    for (const [x0, y0, x1, y1] of borders(kept)) {
        lines.moveTo(x0, y0);
        lines.lineTo(x1, y1);
    }
    pen.lineCap = "square";
    for (const [colour, width] of [[OUTLINE_EDGE, 3.5], [OUTLINE, 1.75]]) {
        pen.strokeStyle = colour;
        pen.lineWidth = width * scale;
        pen.stroke(lines);
    }
}

function sides([x0, y0, x1, y1]) {
    return [x0, y0, x1 - x0, y1 - y0];
}
