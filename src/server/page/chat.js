// The conversation: what was asked and answered, and what is under way.

import { LOADING, ask } from "./ask.js";
import { Turn } from "./turn.js";
import { percent } from "./words.js";

/** Retention (a share) and early exit as the server has them. */
const OWN_SETTINGS = { retain: null, exit: true };

export class Chat {
    #turns = [];
    #running = null;

    /** `host`: announce(words), changed(), giveBack(question, pictures), askKey(message, then), unreachable(), introduce(signal). */
    constructor(root, host) {
        this.root = root;
        this.host = host;
        /**
         * The pair's name, whether it has a guide, the share that the target reads, whether the guide's answer may be final; null
         * until the host's introduce() has asked.
         */
        this.server = null;
        this.settings = OWN_SETTINGS;
    }

    /** What later questions are asked with, where it is not the server's own way. */
    get standing() {
        const { retain, exit } = this.settings;
        const ways = [retain !== null && `the target reads ${percent(retain)}`, !exit && "the guide does not answer alone"];
        const words = ways.filter(Boolean).join(" and ");
        return words && `From now on ${words}.`;
    }

    get isBusy() {
        return this.#running !== null;
    }

    get isEmpty() {
        return this.#turns.length === 0;
    }

    /** Asks a new question; a question before it that came to nothing leaves it its pictures. */
    async ask(question, pictures) {
        const last = this.#turns.at(-1);
        last?.view.close();
        const own = last && !last.view.answer ? [...last.pictures.splice(0), ...pictures] : pictures;
        const earlier = this.#turns.flatMap((turn) => turn.pictures);
        const turn = { question, pictures: own };
        turn.view = new Turn(this.#turns.length + 1, question, [...earlier, ...own], {
            announce: (words) => this.host.announce(words),
            settings: () => ({ ...this.settings, server: this.server }),
            retry: () => this.#run(turn),
            again: (settings) => {
                this.settings = settings;
                this.#run(turn);
            },
        });
        this.#turns.push(turn);
        this.root.append(turn.view.root);
        turn.view.root.scrollIntoView();
        await this.#run(turn);
    }

    stop() {
        this.#running?.abort();
    }

    /** Forgets everything. */
    clear() {
        this.stop();
        for (const { view } of this.#turns) view.close();
        for (const picture of this.#turns.flatMap((turn) => turn.pictures)) picture.forget();
        this.#turns = [];
        this.settings = OWN_SETTINGS;
        this.root.replaceChildren();
        this.host.changed();
    }

    async #run(turn) {
        this.stop();
        const running = new AbortController();
        this.#running = running;
        this.host.changed();
        turn.view.begin();
        let text = "";
        try {
            if (!this.server) {
                turn.view.waiting(LOADING);
                await this.host.introduce(running.signal);
                if (running !== this.#running) return;
            }
            for await (const event of ask(this.#request(turn), running.signal)) {
                if (running !== this.#running) return;
                if (event.waiting) {
                    text = "";
                    turn.view.waiting(event.waiting);
                }
                if (event.progress) turn.view.progress(event.progress);
                if (event.text) {
                    text += event.text;
                    turn.view.text(event.text);
                }
                if (event.finish) {
                    turn.view.finish({ text, finish: event.finish, sgl: event.sgl });
                    this.host.announce(`Answer: ${text}`);
                }
            }
        } catch (error) {
            if (running !== this.#running) return;
            if (running.signal.aborted) this.#stopped(turn, text);
            else this.#fail(turn, error);
        }
        this.#running = null;
        this.host.changed();
    }

    #stopped(turn, text) {
        if (text) turn.view.finish({ text, finish: "stopped", sgl: null });
        turn.view.fail(text ? "Stopped before the end" : "Stopped before there was an answer", true);
    }

    #fail(turn, error) {
        const { status, message } = error;
        const isRefused = status >= 400 && status < 500 && ![401, 408, 429].includes(status);
        turn.view.fail(message, !isRefused);
        // What was refused would be again: it goes back to be changed, if it was a new question.
        if (isRefused && !turn.view.answer) this.host.giveBack(turn.question, turn.pictures.splice(0));
        if (status === 401) this.host.askKey(message, () => this.#run(turn));
        if (status === 0) this.host.unreachable();
    }

    #request(turn) {
        const request = { model: this.server.model, messages: this.#messages(turn) };
        if (!this.server.isGuided) return request;
        const { retain, exit } = this.settings;
        const sgl = { explain: "tokens" };
        if (retain !== null) sgl.retain = retain;
        if (!exit) sgl.exit_threshold = null;
        return { ...request, sgl };
    }

    /** Questions that were answered, and this one. */
    #messages(turn) {
        const before = this.#turns.slice(0, this.#turns.indexOf(turn)).filter(({ view }) => view.answer);
        const answered = before.flatMap((turn) => [user(turn), { role: "assistant", content: turn.view.answer }]);
        return [...answered, user(turn)];
    }
}

function user({ question, pictures }) {
    if (pictures.length === 0) return { role: "user", content: question };
    const images = pictures.map((picture) => ({ type: "image_url", image_url: { url: picture.data } }));
    return { role: "user", content: [...images, { type: "text", text: question }] };
}
