"""The official openai package of Python against `sgl serve`: run.mjs starts the server and says where it is.

SGL_URL is the server's root, SGL_KEY its key; it runs one request at a time and lets one more wait.
"""

import base64
import json
import os
import time
import unittest
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai

MODELS = Path(__file__).parents[2] / "models"
URL, KEY = os.environ["SGL_URL"], os.environ["SGL_KEY"]
SAMPLE = json.loads((MODELS / "pictures/questions.json").read_text())[0]
LARGE = sorted((MODELS / "held-out-large/images").glob("*.png"))


def client(key=KEY):
    return openai.OpenAI(base_url=f"{URL}v1", api_key=key, max_retries=0, timeout=300)


def picture(path):
    data = base64.b64encode(path.read_bytes()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def user(text, *paths):
    return {"role": "user", "content": [*map(picture, paths), {"type": "text", "text": text}]}


def ask(text, *paths, **options):
    return client().chat.completions.create(model="any", messages=[user(text, *paths)], **options)


def metric(name):
    request = urllib.request.Request(f"{URL}metrics", headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


FLAT = MODELS / "pictures" / SAMPLE["image"]
GREEN = "Tell me the colour of the shape labelled 9."  # of FLAT


class Chat(unittest.TestCase):
    def test_pictures_are_answered(self):
        for asked in SAMPLE["questions"]:
            answer = ask(asked["question"], FLAT)
            self.assertEqual(answer.choices[0].message.content, asked["answer"])
            self.assertEqual(answer.choices[0].finish_reason, "stop")
            self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
            visual = answer.model_extra["sgl"]["visual"]
            self.assertEqual(visual["tokens"], 256)

    def test_guidance_is_set_by_request(self):
        sgl = {"retain": 0.1, "exit_threshold": None}
        answer = ask(GREEN, FLAT, extra_body={"sgl": sgl})
        told = answer.model_extra["sgl"]
        self.assertEqual((told["source"], told["visual"]["kept"]), ("target", 25))

    def test_several_pictures_and_turns(self):
        messages = [user(GREEN, FLAT), {"role": "assistant", "content": "green"}]
        messages.append(user("Read the label of the green circle.", MODELS / "pictures/texture.png"))
        answer = client().chat.completions.create(model="any", messages=messages)
        self.assertEqual(len(answer.model_extra["sgl"]["visual"]["pictures"]), 2)
        self.assertTrue(answer.choices[0].message.content)

    def test_text_alone(self):
        answer = client().chat.completions.create(model="any", messages=[{"role": "user", "content": "Hello"}], max_tokens=4)
        self.assertIn(answer.choices[0].finish_reason, ("stop", "length"))
        self.assertLessEqual(answer.usage.completion_tokens, 4)

    def test_models(self):
        listed = client().models.list().data
        self.assertEqual(len(listed), 1)
        self.assertEqual(client().models.retrieve(listed[0].id).id, listed[0].id)


class Streams(unittest.TestCase):
    def test_pieces_are_the_answer(self):
        chunks = list(ask(GREEN, FLAT, stream=True, stream_options={"include_usage": True}))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        self.assertEqual(text, "green")
        self.assertEqual([chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1], "stop")
        self.assertEqual(chunks[-1].choices, [])
        whole = ask(GREEN, FLAT)
        self.assertEqual(chunks[-1].usage.prompt_tokens, whole.usage.prompt_tokens)
        self.assertTrue(all(chunk.usage is None for chunk in chunks[:-1]))

    def test_helper_gathers_the_answer(self):
        with client().chat.completions.stream(model="any", messages=[user(GREEN, FLAT)]) as stream:
            answer = stream.get_final_completion()
        self.assertEqual(answer.choices[0].message.content, "green")

    def test_leaving_stops_the_work(self):
        def begin(paths):
            options = {"stream": True, "extra_body": {"return_progress": True, "sgl": {"exit_threshold": None}}}
            return ask("Count the green objects.", *paths, **options)

        start = time.monotonic()
        list(begin(LARGE[:3]))
        whole_seconds = time.monotonic() - start
        cancelled, answers = metric("sgl_cancelled_total"), metric("sgl_answers_total")
        stream = begin(LARGE[3:6])
        next(iter(stream))
        start = time.monotonic()
        stream.close()
        while metric("sgl_requests_running") > 0:
            self.assertLess(time.monotonic() - start, whole_seconds / 2, "the server works on for nobody")
            time.sleep(0.01)
        self.assertEqual(metric("sgl_cancelled_total"), cancelled + 1)
        self.assertEqual(metric("sgl_answers_total"), answers)


class Form(unittest.TestCase):
    def test_logprobs(self):
        answer = ask(GREEN, FLAT, logprobs=True, top_logprobs=3)
        tokens = answer.choices[0].logprobs.content
        self.assertEqual(b"".join(bytes(token.bytes) for token in tokens).decode(), "green")
        for token in tokens:
            self.assertEqual(len(token.top_logprobs), 3)
            self.assertEqual(token.logprob, token.top_logprobs[0].logprob)  # greedy
            self.assertLessEqual(sum(2.718281828 ** top.logprob for top in token.top_logprobs), 1.0001)
        chunks = ask(GREEN, FLAT, logprobs=True, top_logprobs=3, stream=True)
        streamed = [chunk.choices[0].logprobs for chunk in chunks]
        streamed = [token.token for logprobs in streamed if logprobs for token in logprobs.content]
        self.assertEqual(streamed, [token.token for token in tokens])

    def test_json_schema(self):
        colours = ["red", "green", "blue", "yellow"]
        schema = {"type": "object", "properties": {"colour": {"enum": colours}}, "required": ["colour"]}
        schema["additionalProperties"] = False
        form = {"type": "json_schema", "json_schema": {"name": "colour", "schema": schema, "strict": True}}
        answer = ask(GREEN, FLAT, response_format=form)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        value = json.loads(answer.choices[0].message.content)
        self.assertEqual(list(value), ["colour"])
        self.assertIn(value["colour"], colours)

    def test_stop(self):
        answer = ask(GREEN, FLAT, stop=["ee"])
        self.assertEqual((answer.choices[0].message.content, answer.choices[0].finish_reason), ("gr", "stop"))

    def test_max_tokens(self):
        answer = ask(GREEN, FLAT, max_completion_tokens=1)
        self.assertEqual((answer.usage.completion_tokens, answer.choices[0].finish_reason), (1, "length"))

    def test_seed(self):
        drawn = [ask(GREEN, FLAT, temperature=2, seed=7).choices[0].message.content for _ in range(2)]
        self.assertEqual(drawn[0], drawn[1])


class Errors(unittest.TestCase):
    def refused(self, kind, run):
        with self.assertRaises(kind) as caught:
            run()
        error = caught.exception
        self.assertTrue(error.body["message"], "the error says nothing")
        return error

    def test_wrong_requests(self):
        for options, param in [
            ({"temperature": -1}, "temperature"),
            ({"n": 2}, "n"),
            ({"top_logprobs": 5}, "top_logprobs"),
            ({"extra_body": {"sgl": {"retain": 7.5}}}, "sgl.retain"),
            ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ]:
            error = self.refused(openai.BadRequestError, lambda options=options: ask(GREEN, FLAT, **options))
            self.assertEqual((error.body["param"], error.status_code), (param, 400))
        broken = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        messages = [{"role": "user", "content": [broken]}]
        error = self.refused(
            openai.BadRequestError, lambda: client().chat.completions.create(model="any", messages=messages)
        )
        self.assertEqual(error.body["param"], "messages[0].content[0].image_url.url")

    def test_wrong_requests_that_stream(self):
        error = self.refused(openai.BadRequestError, lambda: ask(GREEN, FLAT, stream=True, temperature=-1))
        self.assertEqual(error.type, "invalid_request_error")

    def test_wrong_key(self):
        self.refused(openai.AuthenticationError, lambda: client("wrong").models.list())

    def test_unknown_path(self):
        self.refused(openai.NotFoundError, lambda: client().get("/nothing", cast_to=object))
        self.refused(openai.NotFoundError, lambda: client().models.retrieve("another model"))

    def test_not_implemented(self):
        embed = lambda: client().embeddings.create(model="any", input="text")
        self.assertEqual(self.refused(openai.InternalServerError, embed).status_code, 501)

    def test_too_many(self):
        def one(path):
            try:
                return ask("Count the green objects.", path, extra_body={"sgl": {"exit_threshold": None}})
            except openai.RateLimitError as error:
                return error

        with ThreadPoolExecutor(6) as threads:
            results = list(threads.map(one, LARGE[6:12]))
        refused = [result for result in results if isinstance(result, openai.RateLimitError)]
        self.assertTrue(0 < len(refused) < len(results), f"{len(refused)} of {len(results)} were refused")
        self.assertGreater(float(refused[0].response.headers["retry-after"]), 0)
        # A client that comes back gets in.
        patient = client().with_options(max_retries=5)
        self.assertTrue(patient.chat.completions.create(model="any", messages=[user(GREEN, FLAT)]).choices)


if __name__ == "__main__":
    unittest.main(verbosity=1)
