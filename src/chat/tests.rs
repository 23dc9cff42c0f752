use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const QWEN: &str = r#"{%- if messages[0]['role'] == 'system' %}
    {%- set rest = messages[1:] %}
    {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
{%- else %}
    {%- set rest = messages %}
    {{- '<|im_start|>system\nBe helpful.<|im_end|>\n' }}
{%- endif %}
{%- if tools %}
    {{- tools | tojson }}
{%- endif %}
{%- for turn in rest %}
    {%- if turn.role in ["user", "system"] or (turn.role == "assistant" and not turn.tool_calls) %}
        {{- '<|im_start|>' + turn.role + '\n' + turn.content + '<|im_end|>' + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"#;

const THINKING: &str = r#"{%- set state = namespace(question=0, searching=true) %}
{%- for turn in messages[::-1] %}
    {%- if state.searching and turn.role == "user" and turn.content is string and not turn.content.startswith('<result>') %}
        {%- set state.searching = false %}
        {%- set state.question = messages|length - 1 - loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for turn in messages %}
    {%- set words = turn.content if turn.content is string else '' %}
    {%- if turn.role == "assistant" and loop.index0 < state.question %}
        {%- if turn.thoughts is string %}
            {%- set words = turn.thoughts %}
        {%- elif '</think>' in words %}
            {%- set words = words.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
    {%- endif %}
    {{- '<|im_start|>' ~ turn.role ~ '\n' ~ words ~ '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if think is defined and think is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}"#;

const LLAMA3: &str = r#"{% for turn in messages %}{% set block = '<|start_header_id|>' + turn['role'] + '<|end_header_id|>

' + turn['content'] | trim + '<|eot_id|>' %}{% if loop.first %}{% set block = bos_token + block %}{% endif %}{{ block }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>

' }}{% endif %}"#;

const GEMMA: &str = r#"{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role here') }}{% endif %}
{% for turn in messages %}
{% if turn['role'] != ['user', 'assistant'][loop.index0 % 2] %}{{ raise_exception('Roles must alternate') }}{% endif %}
<start_of_turn>{{ {'assistant': 'model'}.get(turn['role'], turn['role']) }}
{{ turn['content'] | trim }}<end_of_turn>
{% endfor %}
{% if add_generation_prompt %}{{ '<start_of_turn>model
' }}{% endif %}"#;

const GEMMA3: &str = r#"{%- macro spoken(content) -%}
    {%- if content is string -%}
        {{ content | trim }}
    {%- elif content is iterable -%}
        {%- for part in content -%}
            {%- if part['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- else -%}
                {{ part['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("What is this content?") }}
    {%- endif -%}
{%- endmacro -%}
{{ bos_token }}
{%- set preamble = "" -%}
{%- set turns = messages -%}
{%- if messages[0]['role'] == 'system' -%}
    {%- set preamble = spoken(messages[0]['content']) + '\n\n' -%}
    {%- set turns = messages[1:] -%}
{%- endif -%}
{%- for turn in turns -%}
    {%- set role = "model" if turn['role'] == 'assistant' else turn['role'] -%}
    {{ '<start_of_turn>' + role + '\n' + (preamble if loop.first else "") }}
    {{- spoken(turn['content']) + '<end_of_turn>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model\n'}}
{%- endif -%}
"#;

const MISTRAL: &str = r#"{%- set turns = messages | rejectattr("role", "equalto", "system") | list %}
{%- if messages[0]["role"] == "system" %}
    {%- set instructions = messages[0]["content"] %}
{%- endif %}
{%- set count = namespace() %}
{%- set count.turns = 0 %}
{{- bos_token }}
{%- for turn in turns %}
    {%- if (turn["role"] == "user") != (count.turns % 2 == 0) %}
        {{- raise_exception("Roles must alternate") }}
    {%- endif %}
    {%- set count.turns = count.turns + 1 %}
    {%- if turn["role"] == "user" and loop.last and instructions is defined %}
        {{- "[INST] " + instructions + "\n\n" + turn["content"] + "[/INST]" }}
    {%- elif turn["role"] == "user" %}
        {{- "[INST] " + turn["content"] + "[/INST]" }}
    {%- else %}
        {{- " " + turn["content"].strip() + eos_token }}
    {%- endif %}
{%- endfor %}
"#;

const INTERNVL: &str = "{{ bos_token }}{% for turn in messages %}<|im_start|>{{ turn['role'] + '\n' + turn['content'] }}<|im_end|>{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

const SMOLVLM: &str = "<|im_start|>{% for turn in messages %}{{ turn['role'] | capitalize }}:{% if turn['content'][0]['type'] != 'image' %}{{ ' ' }}{% endif %}{% for part in turn['content'] %}{% if part['type'] == 'image' %}<image>{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}<end_of_utterance>{{ '\n' }}{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}";

const LLAVA: &str = r#"{% macro texts(content) %}
{% for part in content | selectattr('type', 'equalto', 'text') %}
{{ part.text }}{% if not loop.last %} {% endif %}
{% endfor %}
{% endmacro %}
{% for message in messages %}
{% if message.role != 'system' %}
{{ message.role | upper + ': ' }}
{%- endif %}
{% for part in message.content | selectattr('type', 'equalto', 'image') %}
{{ '<image>\n' }}
{%- endfor %}
{% if message.role != 'assistant' %}
{{ texts(message.content) | trim + ' ' }}
{%- else %}
{% generation %}
{{ texts(message.content) | trim + ' ' }}
{%- endgeneration %}
{% endif %}
{% endfor %}
{% if add_generation_prompt %}
{{ 'ASSISTANT:' }}
{%- endif %}
"#;

fn dialogue() -> Vec<Message> {
    vec![
        Message::user_with_pictures(1, "What is this?"),
        Message::assistant("A cat."),
        Message {
            role: Role::User,
            parts: vec![
                Part::Text("And ".to_owned()),
                Part::Text("this:".to_owned()),
                Part::Picture,
                Part::Text("?".to_owned()),
            ],
        },
    ]
}

fn with_system() -> Vec<Message> {
    let mut messages = vec![Message::system("Be brief.")];
    messages.extend(dialogue());
    messages
}

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::new(source, "<s>", "</s>").unwrap()
}

fn error(source: &str) -> ChatError {
    ChatTemplate::new(source, "<s>", "</s>").unwrap_err()
}

fn text(text: &str) -> PromptPart {
    PromptPart::Text(text.to_owned())
}

/// The prompt as one string, `▣` where a picture goes.
fn shown(prompt: &[PromptPart]) -> String {
    let part = |part: &PromptPart| match part {
        PromptPart::Text(text) => text.clone(),
        PromptPart::Picture => "▣".to_owned(),
    };
    prompt.iter().map(part).collect()
}

fn check(source: &str, messages: &[Message], expected: &str) {
    let template = template(source);
    let prompt = template.render(messages, true).unwrap();
    assert_eq!(shown(&prompt), expected);
    assert_eq!(template.starts_with_bos(&prompt), expected.starts_with("<s>"));
}

#[test]
fn qwen_takes_strings_and_adds_its_own_system_message() {
    check(
        QWEN,
        &dialogue(),
        "<|im_start|>system\nBe helpful.<|im_end|>\n\
         <|im_start|>user\n▣What is this?<|im_end|>\n\
         <|im_start|>assistant\nA cat.<|im_end|>\n\
         <|im_start|>user\nAnd this:▣?<|im_end|>\n\
         <|im_start|>assistant\n",
    );
    check(
        QWEN,
        &with_system()[..2],
        "<|im_start|>system\nBe brief.<|im_end|>\n\
         <|im_start|>user\n▣What is this?<|im_end|>\n\
         <|im_start|>assistant\n",
    );
}

#[test]
fn thinking_is_dropped_from_earlier_answers_only() {
    let messages = [
        Message::system("Think."),
        Message::user("Why </think>?"),
        Message::assistant("<think>because</think>\n\nSo."),
        Message::user("Really?"),
    ];
    check(
        THINKING,
        &messages,
        "<|im_start|>system\nThink.<|im_end|>\n\
         <|im_start|>user\nWhy </think>?<|im_end|>\n\
         <|im_start|>assistant\nSo.<|im_end|>\n\
         <|im_start|>user\nReally?<|im_end|>\n\
         <|im_start|>assistant\n",
    );
}

#[test]
fn llama_writes_its_beginning_token_and_trims() {
    check(
        LLAMA3,
        &[Message::system("Be brief."), Message::user("  Hello \n")],
        "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>\
         <|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>\
         <|start_header_id|>assistant<|end_header_id|>\n\n",
    );
}

#[test]
fn gemma_gets_the_system_message_in_the_first_user_message() {
    check(
        GEMMA,
        &with_system(),
        "<s><start_of_turn>user\nBe brief.\n\n▣What is this?<end_of_turn>\n\
         <start_of_turn>model\nA cat.<end_of_turn>\n\
         <start_of_turn>user\nAnd this:▣?<end_of_turn>\n\
         <start_of_turn>model\n",
    );
    let odd = [Message::user("a"), Message::user("b")];
    let refused = template(GEMMA).render(&odd, true).unwrap_err();
    assert_eq!(refused.to_string(), "the chat template refuses these messages: Roles must alternate");
}

#[test]
fn gemma_3_folds_the_system_message_itself() {
    let template = template(GEMMA3);
    assert!(template.shows_system);
    assert_eq!(template.content, Content::String);
    check(
        GEMMA3,
        &with_system(),
        "<s><start_of_turn>user\nBe brief.\n\n▣What is this?<end_of_turn>\n\
         <start_of_turn>model\nA cat.<end_of_turn>\n\
         <start_of_turn>user\nAnd this:▣?<end_of_turn>\n\
         <start_of_turn>model\n",
    );
}

#[test]
fn mistral_may_move_the_system_message_to_the_last_question() {
    check(MISTRAL, &with_system(), "<s>[INST] ▣What is this?[/INST] A cat.</s>[INST] Be brief.\n\nAnd this:▣?[/INST]");
}

#[test]
fn internvl_is_chatml_behind_a_beginning_token() {
    check(INTERNVL, &dialogue()[..1], "<s><|im_start|>user\n▣What is this?<|im_end|>\n<|im_start|>assistant\n");
}

#[test]
fn smolvlm_gets_typed_parts() {
    assert_eq!(template(SMOLVLM).content, Content::Typed);
    check(
        SMOLVLM,
        &with_system(),
        "<|im_start|>System: Be brief.<end_of_utterance>\n\
         User: ▣What is this?<end_of_utterance>\n\
         Assistant: A cat.<end_of_utterance>\n\
         User: And this:▣?<end_of_utterance>\n\
         Assistant:",
    );
}

#[test]
fn macros_and_generation_blocks_work() {
    assert_eq!(template(LLAVA).content, Content::Typed);
    check(LLAVA, &with_system(), "Be brief. USER: ▣What is this? ASSISTANT: A cat. USER: And this:▣? ASSISTANT:");
}

#[test]
fn chatml_is_there_for_models_without_a_template() {
    let template = ChatTemplate::chatml("", "<|im_end|>").unwrap();
    let prompt = template.render(&with_system()[..2], true).unwrap();
    assert_eq!(
        prompt,
        [
            text("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n"),
            PromptPart::Picture,
            text("What is this?<|im_end|>\n<|im_start|>assistant\n"),
        ]
    );
    assert!(!template.starts_with_bos(&prompt));
}

#[test]
fn a_template_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&template(CHATML));
}

#[test]
fn pictures_side_by_side_have_no_text_between() {
    let prompt = template("{{ messages[0].content }}").render(&[Message::user_with_pictures(3, "")], false).unwrap();
    assert_eq!(prompt, vec![PromptPart::Picture; 3]);
}

#[test]
fn the_generation_prompt_is_optional() {
    let messages = [Message::user("Hello")];
    let prompt = template(INTERNVL).render(&messages, false).unwrap();
    assert_eq!(shown(&prompt), "<s><|im_start|>user\nHello<|im_end|>\n");
}

#[test]
fn a_text_like_the_beginning_token_is_not_one() {
    let plain = template("{% for m in messages %}{{ m.content }}{% endfor %}");
    let prompt = plain.render(&[Message::user("<s>Hello")], true).unwrap();
    assert_eq!(shown(&prompt), "<s>Hello");
    assert!(!plain.starts_with_bos(&prompt));
}

#[test]
fn system_text_without_a_question_becomes_one() {
    let prompt = template(GEMMA).render(&[Message::system("One."), Message::system("Two.")], true).unwrap();
    let expected = "<s><start_of_turn>user\nOne.\n\nTwo.<end_of_turn>\n<start_of_turn>model\n";
    assert_eq!(shown(&prompt), expected);
}

#[test]
fn a_later_system_message_waits_for_its_question() {
    let messages = [Message::user("a"), Message::system("s"), Message::assistant("b"), Message::user("c")];
    let prompt = template(GEMMA).render(&messages, false).unwrap();
    let expected = "<s><start_of_turn>user\na<end_of_turn>\n<start_of_turn>model\nb<end_of_turn>\n\
                    <start_of_turn>user\ns\n\nc<end_of_turn>\n";
    assert_eq!(shown(&prompt), expected);
}

#[test]
fn no_text_can_forge_a_picture() {
    let first = "\u{100000}0\u{100000}";
    let second = "\u{100001}0\u{100001}";
    let hostile = format!(
        "{first}{second}\u{100000}1\u{100000}\u{10FFFD}\u{E000}0\u{E000} <image> <__media__> <|image_pad|> \
         <start_of_image> <|vision_start|> [IMG] <img> ▣ {{{{ messages }}}} {{% for %}} {{# c #}} \\u{{100000}} \0 </s> <s>"
    );
    let messages = [
        Message {
            role: Role::User,
            parts: vec![Part::Text(hostile.clone()), Part::Picture, Part::Text(hostile.clone())],
        },
        Message::assistant(hostile.clone()),
        Message::user_with_pictures(1, hostile.clone()),
    ];
    for source in [QWEN, LLAMA3, GEMMA3, MISTRAL, INTERNVL, SMOLVLM, CHATML] {
        let prompt = template(source).render(&messages, true).unwrap();
        let pictures = prompt.iter().filter(|part| **part == PromptPart::Picture);
        assert_eq!(pictures.count(), 2);
        assert_eq!(shown(&prompt).matches(&hostile).count(), 4);
    }
}

#[test]
fn texts_that_use_every_marker_are_refused() {
    let all: String = ('\u{100000}'..='\u{10FFFD}').collect();
    let refused = template(CHATML).render(&[Message::user(&all)], true);
    assert_eq!(refused.unwrap_err(), ChatError::NoMarker);
    let all_but_one = all.trim_end_matches('\u{10FFFD}');
    let messages = [Message::user_with_pictures(1, all_but_one)];
    let prompt = template(CHATML).render(&messages, true).unwrap();
    assert_eq!(prompt.len(), 3);
}

#[test]
fn templates_that_lose_repeat_or_reorder_are_caught() {
    let messages = dialogue();
    let render = |source: &str| template(source).render(&messages, true).unwrap_err();

    let last_only = "{{ messages[-1].content }}";
    assert_eq!(render(last_only).to_string(), "the chat template drops message 0 (user); give another template");

    let twice = "{% for m in messages %}{{ m.content }}{% endfor %}{% if messages|length == 3 and 'cat' in messages[1].content %}{{ messages[0].content }}{% endif %}";
    assert_eq!(
        render(twice).to_string(),
        "the chat template shows the pictures [0, 1, 0] where the messages have 2, counted from 0; give another template"
    );

    let backwards = "{% if 'cat' in messages[1].content %}{% set messages = messages[::-1] %}{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}";
    let found = vec![1, 0];
    assert_eq!(render(backwards), ChatError::Pictures { expected: 2, found });

    let forged = "{% for m in messages %}{{ m.content }}{% endfor %}{{ '\\udbc0\\udc00' }}";
    assert!(matches!(render(forged), ChatError::Pictures { .. }));
}

#[test]
fn a_rewritten_text_is_not_a_dropped_one() {
    let source = "{% for m in messages %}{{ m.content.replace('/think', '') | trim }};{% endfor %}";
    let messages = [Message::system("/think"), Message::user("a /think b")];
    let prompt = template(source).render(&messages, true).unwrap();
    assert_eq!(shown(&prompt), ";a  b;");
}

#[test]
fn unknown_names_are_undefined_and_false() {
    let source = "{{ messages[0].content }} {{ tools is defined }} {{ not tools }} {{ tools | length }} \
                  {% for tool in tools %}{{ tool }}{% endfor %}{{ pad_token }}|{{ messages[0].name is defined }}";
    let prompt = template(source).render(&[Message::user("x")], true);
    assert_eq!(shown(&prompt.unwrap()), "x False True 0 |False");
}

#[test]
fn python_and_jinja_habits_of_templates_work() {
    for (expression, expected) in [
        ("' a '.strip() + 'b,c'.split(',')[1]", "ac"),
        ("'a-b'.replace('-', '+').upper()", "A+B"),
        ("'a b c'.split(' ', 1) | join('|')", "a|b c"),
        ("messages[0].get('name', 'none')", "none"),
        ("'role' in messages[0] and 'name' not in messages[0]", "True"),
        ("messages[0].items() | list | length", "2"),
        ("messages | map(attribute='role') | join(',')", "user"),
        ("messages[:1] | length ~ messages[-1:] | length", "11"),
        ("'yes' if messages[0].content is string else 'no'", "yes"),
        ("'%s and %d' | format('a', 3)", "a and 3"),
        ("['b', 'a'] | sort | first", "a"),
        ("none | default('d', true)", "d"),
        ("{'b': 1, 'a': [true, none]} | tojson", r#"{"b": 1, "a": [true, null]}"#),
        ("', '.join(['x', 'y'])", "x, y"),
        ("'abc'[::-1] ~ 'abc'[1:]", "cbabc"),
        ("strftime_now('%Y') | length", "4"),
        ("strftime_now is defined and raise_exception is defined", "True"),
    ] {
        let source = format!("{{{{ messages[0].content }}}}{{{{ {expression} }}}}");
        let prompt = template(&source).render(&[Message::user("")], true);
        assert_eq!(shown(&prompt.unwrap()), expected, "{expression}");
    }
    let loops = "{{ messages[0].content }}{% for i in range(9) %}{% if i == 1 %}{% continue %}{% elif i == 4 %}{% break %}{% endif %}{{ i }}{{ loop.previtem }}{% endfor %}";
    let prompt = template(loops).render(&[Message::user("")], true).unwrap();
    assert_eq!(shown(&prompt), "02132");
}

#[test]
fn tojson_is_pythons() {
    for (expression, expected) in [
        ("'<a href=\"x\">&\\'é\\n\\u0001\\u007f'|tojson", "\"<a href=\\\"x\\\">&'é\\n\\u0001\u{7f}\""),
        ("'é😀'|tojson(ensure_ascii=true)", "\"\\u00e9\\ud83d\\ude00\""),
        ("{'b': [1, 2.5], 'a': {}}|tojson(indent=2)", "{\n  \"b\": [\n    1,\n    2.5\n  ],\n  \"a\": {}\n}"),
        ("{'b': 1, 'a': []}|tojson(sort_keys=true, separators=(',', ':'))", "{\"a\":[],\"b\":1}"),
        ("{1: true, none: false}|tojson", "{\"1\": true, \"null\": false}"),
    ] {
        let source = format!("{{{{ messages[0].content }}}}{{{{ {expression} }}}}");
        let prompt = template(&source).render(&[Message::user("")], true);
        assert_eq!(shown(&prompt.unwrap()), expected, "{expression}");
    }
    let whole = template("{{ messages | tojson }}");
    let prompt = whole.render(&[Message::user("<\n>")], true);
    let expected = r#"[{"role": "user", "content": "<\n>"}]"#;
    assert_eq!(shown(&prompt.unwrap()), expected);
    let bad = "{{ messages[0].content }}{{ 1|tojson(separators=['a']) }}";
    assert!(matches!(error(bad), ChatError::Failed { .. }));
}

#[test]
fn bad_templates_fail_with_their_line() {
    for (source, expected) in [
        (
            "{{ 1 }}\n\n{{ a b }}",
            "chat template, line 3: syntax error: unexpected identifier, expected end of variable block; give another template",
        ),
        (
            "\n{% if true %}",
            "chat template, line 2: syntax error: unexpected end of input, expected end of block; give another template",
        ),
        (
            "\n{{ messages[0].content }}\n{{ missing() }}",
            "chat template, line 3: unknown function: missing is unknown; give another template",
        ),
        (
            "{{ messages[0].content|sparkle }}",
            "chat template, line 1: unknown filter: filter sparkle is unknown; give another template",
        ),
        ("{{ raise_exception('never') }}", "the chat template refuses these messages: never"),
        ("no text", "the chat template shows no user text, given as a string or as typed parts; give another template"),
        (
            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
            "chat template, line 1: invalid operation: recursion limit exceeded; give another template",
        ),
    ] {
        assert_eq!(error(source).to_string(), expected);
    }
    assert_eq!(template(CHATML).render(&[], true), Err(ChatError::NoMessages));
}

#[test]
fn endless_and_greedy_templates_are_stopped() {
    let start = Instant::now();
    for work in [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% set n = namespace(s='0123456789') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "{{ 'a' * 1000000000 }}",
        "{% set s = 'a' * 1000000 %}{{ s.replace('a', s) }}",
        "{% set s = 'a' * 1000000 %}{{ s.join(range(100000) | map('string') | list) }}",
        "{{ '{:9999999999}'.format(1) }}",
        "{{ [[1]] | tojson(indent=9999999999) }}",
        "{% set n = namespace(x=[]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x | tojson }}",
        "{% set n = namespace(x=[]) %}{% for i in range(100000) %}{% set n.x = [n.x] %}{% endfor %}",
    ] {
        let source = format!("{{{{ messages[0].content }}}}{work}");
        assert_eq!(error(&source), ChatError::Endless, "{work}");
    }
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let nest = "{% set n = namespace(x=[]) %}{% for i in range(20000) %}{% set n.x = [n.x] %}{% endfor %}";
    assert!(ChatTemplate::new(&format!("{{{{ messages[0].content }}}}{nest}"), "", "").is_ok());
    let json = format!("{{{{ messages[0].content }}}}{nest}{{{{ n.x | tojson }}}}");
    assert!(matches!(error(&json), ChatError::Failed { .. }));
    for deep in ["-", "not ", "(", "[", "1+"] {
        let source = format!("{{{{ {}1 }}}}", deep.repeat(16_000));
        assert!(ChatTemplate::new(&source, "", "").is_err());
    }
}

#[test]
fn sizes_are_bounded() {
    let source = " ".repeat(70_000);
    assert_eq!(error(&source).to_string(), "the chat template has 70000 bytes, more than 65536; give another template");
    let echo = "{% for m in messages %}{{ m.content }}{% endfor %}{{ 'x' * 2000000 }}";
    assert!(matches!(error(echo), ChatError::PromptTooLong { prompt_bytes: 2_000_000.., .. }));
}

#[test]
fn long_conversations_and_long_texts_fit() {
    let mut messages = vec![Message::system("Be brief.")];
    for _ in 0..500 {
        messages.push(Message::user_with_pictures(1, "What is this?"));
        messages.push(Message::assistant("A cat."));
    }
    messages.push(Message::user("word ".repeat(1_000_000)));
    for source in [QWEN, THINKING, GEMMA3, MISTRAL, SMOLVLM, LLAVA] {
        let prompt = template(source).render(&messages, true).unwrap();
        let pictures = prompt.iter().filter(|part| **part == PromptPart::Picture);
        assert_eq!(pictures.count(), 500);
    }
}

#[test]
fn the_clock_ends_what_fuel_does_not() {
    let sleep = || {
        std::thread::sleep(Duration::from_secs(5));
        Ok(())
    };
    let ended = engine::on_own_thread(Duration::from_millis(10), sleep);
    assert_eq!(ended, Err(ChatError::Endless));
    let panicked = engine::on_own_thread(Duration::from_secs(5), || std::panic::resume_unwind(Box::new(())));
    assert!(matches!(panicked, Err::<(), _>(ChatError::Failed { .. })));
}

#[test]
fn dates_are_right() {
    for (seconds, expected) in [
        (0, "Thursday 01 January 1970 00:00:00 AM 12 001"),
        (951_782_400, "Tuesday 29 February 2000 00:00:00 AM 12 060"),
        (1_735_689_599, "Tuesday 31 December 2024 23:59:59 PM 11 366"),
        (4_107_542_400, "Monday 01 March 2100 00:00:00 AM 12 060"),
        (1_700_000_000, "Tuesday 14 November 2023 22:13:20 PM 10 318"),
    ] {
        let text = clock::strftime(seconds, "%A %d %B %Y %H:%M:%S %p %I %j");
        assert_eq!(text.unwrap(), expected);
    }
    let short = clock::strftime(1_704_500_000, "%-d %b %y, %a %F %T 100%%, %-H %h");
    assert_eq!(short.unwrap(), "6 Jan 24, Sat 2024-01-06 00:13:20 100%, 0 Jan");
    for unknown in ["%Q", "%", "%-"] {
        assert!(clock::strftime(0, unknown).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chatml_renders_any_conversation_literally(
        turns in proptest::collection::vec(
            (any::<bool>(), proptest::collection::vec(proptest::option::of("[\u{100000}-\u{100003}a<|{}%\n ]{0,12}|\\PC{0,8}"), 0..5)),
            1..5,
        ),
    ) {
        let messages: Vec<Message> = turns
            .iter()
            .map(|(answer, parts)| Message {
                role: if *answer { Role::Assistant } else { Role::User },
                parts: parts
                    .iter()
                    .map(|part| part.clone().map_or(Part::Picture, Part::Text))
                    .collect(),
            })
            .collect();
        let mut expected = vec![String::new()];
        for message in &messages {
            let mut add = |text: &str| expected.last_mut().unwrap().push_str(text);
            add(&format!("<|im_start|>{}\n", message.role.name()));
            for part in &message.parts {
                match part {
                    Part::Text(text) => expected.last_mut().unwrap().push_str(text),
                    Part::Picture => expected.push(String::new()),
                }
            }
            expected.last_mut().unwrap().push_str("<|im_end|>\n");
        }
        let template = ChatTemplate::chatml("", "").unwrap();
        let prompt = template.render(&messages, false).unwrap();
        let mut got = vec![String::new()];
        for part in prompt {
            match part {
                PromptPart::Text(text) => {
                    prop_assert!(!text.is_empty());
                    got.last_mut().unwrap().push_str(&text);
                }
                PromptPart::Picture => got.push(String::new()),
            }
        }
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn any_source_gives_a_template_or_an_error(source in "(\\{\\{|\\}\\}|\\{%|%\\}|-|messages|\\[0\\]|\\.content|if|for|in|end| |'|\n|generation|\\|tojson|\\PC){0,30}") {
        let _ = ChatTemplate::new(&source, "<s>", "</s>");
    }
}
