// Runs clients that we did not write against `sgl serve`: the openai packages of Python and Node, and schemathesis, which makes
// requests up from the OpenAPI document. Installs them below target/clients. Fails if one of them does.

import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { ROOT, serve } from "../page/server.mjs";

const HERE = `${ROOT}tests/clients/`;
const PACKAGES = `${ROOT}target/clients/`;
const PYTHON = `${PACKAGES}python/bin/`;
const KEY = "open sesame";

function run(program, ...words) {
    // What a client leaves where it runs is not to lie among the sources.
    const { status, error } = spawnSync(program, words, { stdio: "inherit", cwd: PACKAGES, env: { ...process.env, PACKAGES } });
    if (error) throw new Error(`${program} cannot be run (${error.code}); ${hint(program)}`);
    return status;
}

function must(program, ...words) {
    const status = run(program, ...words);
    if (status !== 0) throw new Error(`${[program, ...words].join(" ")} ended with ${status}; ${hint(program)}`);
}

function hint(program) {
    return /python|pip/.test(program) ? "install python3 with venv (Debian: python3-venv)" : "install node 18 or later with npm";
}

function install() {
    if (!existsSync(`${PYTHON}pip`)) must("python3", "-m", "venv", `${PACKAGES}python`);
    must(`${PYTHON}pip`, "install", "--quiet", "--disable-pip-version-check", "-r", `${HERE}requirements.txt`);
    copyFileSync(`${HERE}package.json`, `${PACKAGES}package.json`);
    must("npm", "install", "--prefix", PACKAGES, "--silent", "--no-audit", "--no-fund", "--no-package-lock");
}

/** Requests that fit the document and requests that do not, some hundreds; the same ones each time. */
function fuzz(url) {
    const checks = [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "unsupported_method",
        "allow_header_conformance",
        "ignored_auth",
    ];
    return run(
        `${PYTHON}schemathesis`, "run", `${url}openapi.json`, "--url", url,
        "--header", `Authorization: Bearer ${KEY}`, "--checks", checks.join(","), "--phases", "examples,coverage,fuzzing",
        "--max-examples", "60", "--seed", "1", "--workers", "1", "--request-timeout", "60", "--suppress-health-check", "all",
    );
}

mkdirSync(PACKAGES, { recursive: true });
install();
const server = await serve("--api-key", KEY, "--max-queued", "1");
Object.assign(process.env, { SGL_URL: server.url, SGL_KEY: KEY });
const failed = [];
for (const [name, client] of [
    ["openai for Python", () => run(`${PYTHON}python`, `${HERE}with_openai.py`)],
    ["openai for Node", () => run("node", "--test", `${HERE}with_openai.mjs`)],
    ["schemathesis", () => fuzz(server.url)],
]) {
    console.log(`\n${name}`);
    if (client() !== 0) failed.push(name);
}
const health = await fetch(`${server.url}health`).then(({ status }) => status, () => 0);
if (health !== 200) failed.push("the server, which is not well afterwards");
const code = await server.stop();
if (code !== 0) failed.push(`the server, which ended with ${code}`);
if (failed.length > 0) console.log(`\n${server.log()}\nfailed: ${failed.join(", ")}`);
process.exitCode = failed.length > 0 ? 1 : 0;
