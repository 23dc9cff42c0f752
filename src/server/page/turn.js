// One question on the page: its pictures, what happens while it is answered, the answer, and what is known of it.

import { comparison, timeBar } from "./bar.js";
import { element, fromTemplate, part } from "./dom.js";
import { gauge } from "./gauge.js";
import { HeatMap } from "./heat.js";
import { verdict } from "./verdict.js";
import { duration, factAndFix, percent } from "./words.js";

const PHASE_WORDS = {
    guide_encode: "The guide looks at the pictures",
    guide_prefill: "The guide reads",
    guide_decode: "The guide answers",
    consistency: "The guide checks itself",
    target_encode: "The target looks at what was kept",
    target_prefill: "The target reads what was kept",
    target_decode: "The target answers",
};
/** Keys move a slider step by step; the question is asked once they rest. */
const REST_MILLISECONDS = 450;

export class Turn {
    #maps;
    #rest = null;
    #isMoved = false;
    #streamed = "";

    /** `pictures` are those of the whole conversation. `actions`: again(settings), settings(), retry(), announce(words). */
    constructor(number, question, pictures, actions) {
        this.actions = actions;
        this.attempts = [];
        this.shown = null;
        this.root = fromTemplate("turn-template");
        const heading = part(this.root, "question");
        heading.id = `question-${number}`;
        heading.textContent = question;
        this.root.setAttribute("aria-labelledby", heading.id);
        const isOne = pictures.length === 1;
        const label = (i) => (isOne ? "the picture" : `picture ${i + 1}`);
        this.#maps = pictures.map((picture, i) => new HeatMap(picture, label(i), !isOne));
        part(this.root, "pictures").append(...this.#maps.map((map) => map.root));
        part(this.root, "looking").hidden = pictures.length === 0;
        this.root.classList.toggle("plain", pictures.length === 0);
        this.#wire(number);
    }

    /** The answer that later questions build on; null where there is none. */
    get answer() {
        return this.shown?.text || null;
    }

    /** A new attempt at the question; what is shown of the last one stays until the next has something to show. */
    begin() {
        clearTimeout(this.#rest);
        this.root.classList.add("busy");
        part(this.root, "failure").hidden = true;
        // What follows stays where it is, should the next reasons be shorter.
        const reasons = part(this.root, "reasons");
        reasons.style.minBlockSize = this.shown ? `${reasons.offsetHeight}px` : "";
        part(this.root, "text").setAttribute("aria-busy", "true");
        this.#streamed = "";
        this.#status("Asking", 0);
    }

    /** The answer begins anew after this. */
    waiting(words) {
        this.#streamed = "";
        if (!this.shown) part(this.root, "text").textContent = "";
        this.#status(words, null);
    }

    progress({ phase, share }) {
        this.#status(PHASE_WORDS[phase] ?? "Reading", share);
    }

    text(piece) {
        const text = part(this.root, "text");
        if (this.#streamed === "") text.textContent = "";
        this.#streamed += piece;
        text.append(piece);
    }

    /** `attempt` is { text, finish, sgl }, `finish` "stop", "length" or "stopped" by the user. */
    finish(attempt) {
        this.#settle();
        this.attempts.push(attempt);
        this.show(attempt);
    }

    /** What went wrong; asking again is offered where that can help. */
    fail(message, canRetry) {
        this.#settle();
        this.#status("", null);
        if (this.shown) this.show(this.shown);
        const [fact, fix] = factAndFix(message);
        part(this.root, "fact").textContent = fact;
        part(this.root, "fix").textContent = fix;
        part(this.root, "retry").hidden = !canRetry;
        part(this.root, "failure").hidden = false;
    }

    /** A later question follows: this one is not asked again. */
    close() {
        clearTimeout(this.#rest);
        part(this.root, "settings").hidden = true;
        part(this.root, "retry").hidden = true;
    }

    /** Shows one attempt. */
    show(attempt) {
        this.shown = attempt;
        this.root.classList.add("answered");
        part(this.root, "text").textContent = attempt.text;
        const { sgl } = attempt;
        part(this.root, "evidence").hidden = !sgl;
        this.#status(summary(attempt), null);
        if (sgl) {
            this.#showVerdict(sgl);
            this.#showTime(sgl);
            this.#showPictures(sgl);
            this.#showAgain(sgl);
        }
        this.#showAttempts();
    }

    #settle() {
        this.root.classList.remove("busy");
        part(this.root, "text").setAttribute("aria-busy", "false");
    }

    /** `share` is null where nothing is under way that has one. */
    #status(words, share) {
        const progress = part(this.root, "progress");
        const status = part(this.root, "status");
        if (status.textContent !== words) {
            status.textContent = words;
            this.actions.announce(words);
        }
        progress.classList.toggle("idle", share === null);
        progress.value = share ?? 0;
    }

    #showVerdict(sgl) {
        const { who, reasons, gauges } = verdict(sgl);
        this.root.dataset.source = sgl.source;
        part(this.root, "who").textContent = who;
        part(this.root, "reasons").replaceChildren(...reasons.map((reason) => element("p", {}, reason)));
        part(this.root, "gauges").replaceChildren(...gauges.flatMap(gauge));
        part(this.root, "gauges").hidden = gauges.length === 0;
    }

    /** What no guide had a part in is the unpruned target itself, and compared with nothing. */
    #showTime({ guide, timings_ms: timings, unpruned_estimate_ms: estimate }) {
        part(this.root, "time").replaceChildren(...timeBar(timings, guide && estimate));
        part(this.root, "comparison").textContent = guide ? comparison(timings, estimate) : "";
    }

    #showPictures({ visual, explain }) {
        const explained = explain?.pictures ?? [];
        const masses = explained.map(({ tokens }) => tokens.reduce((sum, { importance }) => sum + importance, 0));
        const all = masses.reduce((sum, mass) => sum + mass, 0);
        this.#maps.forEach((map, i) => {
            const share = explained.length > 1 && all > 0 ? masses[i] / all : null;
            if (explained[i]) map.show(explained[i], visual.pictures[i], share);
        });
        const levels = new Set(this.#maps.flatMap((map) => map.levels));
        part(this.root, "levels").classList.toggle("absent", levels.size < 2);
        part(this.root, "controls").disabled = explained.length === 0;
        part(this.root, "outlined").disabled = visual.kept === visual.tokens;
        this.#look();
    }

    #showAgain({ source, visual, guide }) {
        const { retain, exit, server } = this.actions.settings();
        const isTarget = source === "target";
        part(this.root, "again").hidden = visual.tokens === 0 || guide === null;
        part(this.root, "retain").value = Math.round((isTarget ? visual.retain : (retain ?? server.retain)) * 100);
        this.#isMoved = false;
        part(this.root, "exit").checked = exit && server.exits;
        part(this.root, "may-exit").hidden = !server.exits;
        part(this.root, "hint").textContent = isTarget ? "" : "The guide answered alone. Moving the slider asks the target.";
        this.#showRetain();
    }

    #showAttempts() {
        const list = part(this.root, "attempts");
        list.hidden = this.attempts.length < 2;
        list.replaceChildren(...this.attempts.map((attempt) => this.#attempt(attempt)));
    }

    #attempt(attempt) {
        const { text, sgl } = attempt;
        const reader = sgl?.source === "guide" ? "guide alone" : `target, ${percent(sgl?.visual.retain ?? 0)}`;
        const words = sgl ? [reader, text, duration(sgl.timings_ms.total)] : ["stopped", text, ""];
        const cells = words.map((words) => element("span", {}, words));
        const button = element("button", { type: "button", "aria-pressed": attempt === this.shown }, ...cells);
        button.onclick = () => {
            this.show(attempt);
            part(this.root, "attempts").querySelector("[aria-pressed=true]").focus();
        };
        return element("li", {}, button);
    }

    #wire(number) {
        part(this.root, "settings").onsubmit = (event) => event.preventDefault();
        const retain = part(this.root, "retain");
        const exit = part(this.root, "exit");
        retain.oninput = () => {
            this.#isMoved = true;
            if (this.shown?.sgl?.source === "guide") exit.checked = false;
            this.#showRetain();
        };
        retain.onchange = exit.onchange = () => {
            clearTimeout(this.#rest);
            this.#rest = setTimeout(() => this.actions.again(this.#chosen()), REST_MILLISECONDS);
        };
        part(this.root, "retry").onclick = () => this.actions.retry();
        for (const name of ["mix", "outlined", "overview", "detail"]) {
            part(this.root, name).oninput = () => this.#look();
        }
        for (const name of ["overview", "detail"]) part(this.root, name).name = `level-${number}`;
    }

    /** What was not touched stays as it was: the slider shows counts of tokens and shares of the attention as near as it can. */
    #chosen() {
        const { retain, exit, server } = this.actions.settings();
        return {
            retain: this.#isMoved ? part(this.root, "retain").value / 100 : retain,
            exit: server.exits ? part(this.root, "exit").checked : exit,
        };
    }

    #showRetain() {
        const words = percent(part(this.root, "retain").value / 100);
        part(this.root, "share").textContent = words;
        part(this.root, "retain").setAttribute("aria-valuetext", `${words} of the visual tokens`);
    }

    #look() {
        const look = {
            mix: part(this.root, "mix").value / 100,
            outlined: part(this.root, "outlined").checked,
            level: part(this.root, "overview").checked ? "overview" : "detail",
        };
        for (const map of this.#maps) map.look(look);
    }
}

function summary({ finish, sgl }) {
    if (finish === "stopped") return "Stopped";
    const cut = finish === "length" ? ", cut off at the limit of tokens" : "";
    if (!sgl) return `Answered${cut}`;
    return `Answered by the ${sgl.source} in ${duration(sgl.timings_ms.total)}${cut}`;
}
