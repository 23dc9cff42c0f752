// The page: composes questions, says how the server is, and hands both to the conversation.

import { getJson, isReady, setApiKey } from "./api.js";
import { pause, ready } from "./ask.js";
import { Chat } from "./chat.js";
import { Tray } from "./pictures.js";
import { factAndFix } from "./words.js";

const RETRY_MILLISECONDS = 1500;

const byId = (id) => document.getElementById(id);
const [composer, question, notice] = ["composer", "question", "notice"].map(byId);

const chat = new Chat(byId("turns"), {
    announce: (words) => (byId("announcer").textContent = words),
    changed: update,
    giveBack: (text, pictures) => {
        question.value ||= text;
        tray.giveBack(pictures);
    },
    askKey,
    unreachable: watch,
    introduce: async (signal) => {
        await ready(signal);
        await introduce(signal);
    },
});
const tray = new Tray(byId("tray"), update);

function update() {
    const buttons = [byId("send"), byId("stop")];
    const [shown, hidden] = chat.isBusy ? buttons.reverse() : buttons;
    const hadFocus = document.activeElement === hidden;
    shown.hidden = false;
    hidden.hidden = true;
    if (hadFocus) shown.focus();
    byId("welcome").hidden = !chat.isEmpty;
    byId("fresh").disabled = chat.isEmpty;
    document.body.classList.toggle("empty", chat.isEmpty);
    if (!notice.classList.contains("wrong")) say(chat.standing);
}

function say(words, isWrong = false) {
    notice.textContent = words;
    notice.classList.toggle("wrong", isWrong);
}

composer.onsubmit = async (event) => {
    event.preventDefault();
    while (adding.size > 0) {
        say("Reading the pictures first.");
        const areAllRead = await Promise.all(adding);
        // What was wrong is told, and the question waits for another word.
        if (areAllRead.includes(false)) return;
    }
    const text = question.value.trim();
    if (chat.isBusy) return;
    if (text === "") {
        say("Write a question first.", true);
        question.focus();
        return;
    }
    say(chat.standing);
    question.value = "";
    chat.ask(text, tray.take());
};
question.onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        composer.requestSubmit();
    }
};
byId("stop").onclick = () => {
    chat.stop();
    question.focus();
};
document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chat.isBusy && !byId("key-dialog").open) byId("stop").click();
});
byId("fresh").onclick = () => {
    chat.clear();
    say("");
    question.focus();
};

/** Pictures that are being read, and whether they could be; a question about them waits. */
const adding = new Set();

function add(files) {
    if (adding.size === 0) say(chat.standing);
    const all = addAll(files).finally(() => adding.delete(all));
    adding.add(all);
    return all;
}

async function addAll(files) {
    const { refused, unreadable } = await tray.add(files);
    const wrong = [
        refused > 0 && "Only pictures can be added: PNG, JPEG, WebP, GIF, BMP or TIFF.",
        unreadable > 0 && "A picture could not be read.",
    ].filter(Boolean);
    if (wrong.length > 0) say(wrong.join(" "), true);
    else if (!notice.classList.contains("wrong")) say(chat.standing);
    question.focus();
    return wrong.length === 0;
}

for (const button of document.querySelectorAll(".choose")) button.onclick = () => byId("files").click();
byId("files").onchange = async ({ target }) => {
    await add(target.files);
    target.value = "";
};
document.addEventListener("paste", (event) => {
    const { files } = event.clipboardData;
    if (files.length === 0) return;
    event.preventDefault();
    add(files);
});
let depth = 0; // of elements that something is dragged over
const dragged = (change) => (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    depth = change(depth);
    document.body.classList.toggle("dragged", depth > 0);
};
document.addEventListener("dragenter", dragged((depth) => depth + 1));
document.addEventListener("dragleave", dragged((depth) => depth - 1));
document.addEventListener("dragover", dragged((depth) => depth));
document.addEventListener("drop", (event) => {
    dragged(() => 0)(event);
    if (event.dataTransfer.files.length > 0) add(event.dataTransfer.files);
});

/** What goes on once there is a key. */
const waitingForKey = [];

function askKey(message, then) {
    const dialog = byId("key-dialog");
    waitingForKey.push(then);
    if (dialog.open) return;
    [byId("key-message").textContent] = factAndFix(message);
    dialog.onclose = () => {
        const key = byId("key").value.trim();
        const waiting = waitingForKey.splice(0);
        if (dialog.returnValue !== "use" || key === "") return;
        byId("key").value = "";
        setApiKey(key);
        for (const then of waiting) then();
    };
    dialog.returnValue = "";
    dialog.showModal();
}

let isWatching = false;

/** Until the models are loaded; then says who they are. */
async function watch() {
    if (isWatching) return;
    isWatching = true;
    for (;;) {
        try {
            if (await isReady()) break;
            say("The models are loading.");
        } catch (error) {
            say(`${factAndFix(error.message)[0]} Trying again.`, true);
        }
        await pause(RETRY_MILLISECONDS);
    }
    isWatching = false;
    say(chat.standing);
    await greet();
}

async function greet() {
    try {
        await introduce();
    } catch (error) {
        if (error.status === 401) askKey(error.message, greet);
        else say(factAndFix(error.message).join(" "), true);
    }
}

/** Asks the server who it is. */
async function introduce(signal) {
    const [models, props] = await Promise.all([getJson("v1/models", signal), getJson("props", signal)]);
    const [{ id: model, sgl: pair }] = models.data;
    const { guided: isGuided, retain, exit_threshold: threshold } = props.sgl;
    chat.server = { model, isGuided, retain: share(retain), exits: threshold !== null };
    const names = [pair.guide && `${pair.guide.description} guides`, pair.target.description];
    byId("pair").textContent = names.filter(Boolean).join(" ");
}

/** Of a retention in the server's words; counts of tokens and shares of the attention have none before they are used. */
function share(retain) {
    if (retain === null) return 1;
    const [, number, unit] = /^([\d.]+)(.*)$/.exec(retain) ?? [];
    return { "%": number / 100, "": Number(number) }[unit] ?? 0.25;
}

update();
watch();
