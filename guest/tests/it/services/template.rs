use super::{Case, Failure};
use crate::fake::{World, code, compile, mistakes, request, send, thrown};

/// What the cases render.
pub const FILES: &[(&str, &str)] = &[(
    "templates/post.html",
    "<h1>{{ title }}</h1>{% for tag in tags %}<i>{{ loop.index }} {{ tag }}</i>{% endfor %}",
)];

pub const CASES: &[Case] = &[(
    "render(file, data) -> string",
    r#"
        let data = #{title: "A & B", tags: ["x", 2, 1.0, true, 'c', ()]};
        let page = template::render("post.html", data);
        if page == template::render("templates/post.html", data) { page } else { "differs" }
    "#,
    "<h1>A &amp; B</h1><i>1 x</i><i>2 2</i><i>3 1.0</i><i>4 true</i><i>5 c</i><i>6 </i>",
)];

pub const FAILURES: &[Failure] = &[
    (r#"template::render("post.html", #{})"#, "template_not_found"),
    (r#"template::render("post.html", [])"#, "invalid_argument"),
    (r#"template::render("post.html")"#, "invalid_argument"),
];

/// What `templates/t.html` becomes with the data, which are Rhai.
fn render(template: &str, data: &str) -> Result<String, (String, Option<String>)> {
    render_all(&[("templates/t.html", template)], "t.html", data)
}

fn render_all(
    files: &[(&str, &str)],
    file: &str,
    data: &str,
) -> Result<String, (String, Option<String>)> {
    let main = format!("template::render(\"{file}\", {data})");
    match send(&World::default(), &main, files, request("GET")) {
        Ok(response) => Ok(String::from_utf8(response.body).unwrap()),
        Err(error) => Err((error.message, error.code)),
    }
}

#[track_caller]
fn check(template: &str, data: &str, expected: &str) {
    assert_eq!(render(template, data).as_deref(), Ok(expected), "{template}");
}

#[track_caller]
fn check_error(files: &[(&str, &str)], data: &str, code: &str, message: &str) {
    let error = render_all(files, "t.html", data).unwrap_err();
    assert_eq!(error, (message.to_owned(), Some(code.to_owned())));
}

#[test]
fn what_is_filled_in_is_escaped() {
    check(
        "<p>{{ x }}</p>",
        "#{x: `<script>alert('1')</script>`}",
        "<p>&lt;script&gt;alert(&#x27;1&#x27;)&lt;&#x2f;script&gt;</p>",
    );
    check(
        "<a title=\"{{ x }}\" id='{{ x }}'>",
        r#"#{x: `" onclick='f()' & `}"#,
        "<a title=\"&quot; onclick=&#x27;f()&#x27; &amp; \" id='&quot; onclick=&#x27;f()&#x27; &amp; '>",
    );
    // Neither a list nor a key nor a filter is a way around.
    check(
        "{{ x }}",
        "#{x: [\"<b>\", #{\"<i>\": 1}]}",
        "[&#x27;&lt;b&gt;&#x27;, {&#x27;&lt;i&gt;&#x27;: 1}]",
    );
    check(
        "{% for k, v in x|items %}{{ k }}={{ v|upper }}{% endfor %}",
        "#{x: #{\"<k>\": \"<v>\"}}",
        "&lt;k&gt;=&lt;V&gt;",
    );
    check("{{ x|join('<br>') }}", "#{x: [\"<\", \">\"]}", "&lt;&lt;br&gt;&gt;");
    check("{% set y = x ~ '<' %}{{ y }}", "#{x: \"<\"}", "&lt;&lt;");
    check("{% macro m(v) %}<b>{{ v }}</b>{% endmacro %}{{ m(x) }}", "#{x: \"<\"}", "<b>&lt;</b>");
}

#[test]
fn only_a_template_says_what_is_safe() {
    check("{{ x|safe }} {{ x }}", "#{x: \"<b>\"}", "<b> &lt;b&gt;");
    check("{% autoescape false %}{{ x }}{% endautoescape %}{{ x }}", "#{x: \"<\"}", "<&lt;");
}

#[test]
fn a_names_extension_decides_about_escaping() {
    for (file, expected) in [
        ("a.html", "&lt;"),
        ("a.htm", "&lt;"),
        ("a.xml", "&lt;"),
        ("a.HTML", "&lt;"),
        ("a.html.j2", "&lt;"),
        ("mail/a.txt", "<"),
    ] {
        // What is included goes by its own name.
        let path = format!("templates/{file}");
        let files = [(path.as_str(), "{{ x }}"), ("templates/t.html", "{% include f %}{{ x }}")];
        let data = format!("#{{x: \"<\", f: \"{file}\"}}");
        assert_eq!(render_all(&files, file, &data).as_deref(), Ok(expected), "{file}");
        let both = format!("{expected}&lt;");
        assert_eq!(render_all(&files, "t.html", &data).as_deref(), Ok(both.as_str()), "{file}");
    }
}

#[test]
fn templates_are_put_together_of_templates() {
    let files = [
        (
            "templates/base.html",
            "<title>{% block title %}-{% endblock %}</title>{% include 'parts/nav.html' %}",
        ),
        ("templates/parts/nav.html", "<nav>{{ user }}</nav>"),
        ("templates/macros.html", "{% macro b(x) %}<b>{{ x }}</b>{% endmacro %}"),
        (
            "templates/t.html",
            "{% extends 'templates/base.html' %}{% from 'macros.html' import b %}\
            {% block title %}{{ super() }}{{ b('&') }}{% endblock %}",
        ),
    ];
    assert_eq!(
        render_all(&files, "t.html", "#{user: \"<ann>\"}").as_deref(),
        Ok("<title>-<b>&amp;</b></title><nav>&lt;ann&gt;</nav>")
    );
}

#[test]
fn what_the_data_lack_is_an_error_that_names_it() {
    let check = |template: &str, message: &str| {
        check_error(
            &[("templates/t.html", template)],
            "#{post: #{title: ()}}",
            "render_error",
            message,
        );
    };
    check("<p>\n\n{{ titel }}", "templates/t.html:3: undefined value: `titel` is undefined");
    check("{{ post.titel }}", "templates/t.html:1: undefined value: `post.titel` is undefined");
    check(
        "{% for x in posts %}{% endfor %}",
        "templates/t.html:1: undefined value: `posts` is undefined",
    );
}

#[test]
fn what_the_data_lack_can_be_asked_for() {
    check(
        "{% if x %}a{% else %}b{% endif %}{{ x is defined }}{{ x|default('c') }}",
        "#{}",
        "bfalsec",
    );
    // What is absent is there, and prints nothing.
    check("[{{ x }}]{{ x is none }}{% if x %}a{% endif %}", "#{x: ()}", "[]true");
}

#[test]
fn a_failure_is_told_with_its_place() {
    let include = ("templates/t.html", "\n{% include 'part.html' %}");
    for (part, message) in [
        (
            "\n{{ 1 / 'a' }}",
            "templates/part.html:2: invalid operation: tried to use / operator on unsupported types number and string",
        ),
        ("{{ x|nope }}", "templates/part.html:1: unknown filter: filter nope is unknown"),
        (
            "{% include 'gone.html' %}",
            "templates/part.html:1: template not found: tried to include non-existing template 'gone.html'",
        ),
    ] {
        check_error(&[include, ("templates/part.html", part)], "#{x: 1}", "render_error", message);
    }
    let main = "\ntemplate::render(\"t.html\", #{})";
    let files = [("templates/t.html", "{{ x }}")];
    let error = send(&World::default(), main, &files, request("GET")).unwrap_err();
    let at = error.position.unwrap();
    assert_eq!((at.file.as_str(), at.line), ("main.rhai", 2));
}

#[test]
fn a_template_that_is_not_there_is_told_the_nearest() {
    let files = [("templates/t.html", ""), ("templates/post.html", ""), ("templates/a/b.txt", "")];
    let message = |file: &str| render_all(&files, file, "#{}").unwrap_err().0;
    assert_eq!(
        message("pots.html"),
        "there is no template \"pots.html\"; did you mean \"post.html\"?"
    );
    assert_eq!(
        message("templates/comment.html"),
        "there is no template \"templates/comment.html\"; there are a/b.txt, post.html, t.html"
    );
    assert_eq!(
        thrown("template::render(\"t.html\", #{})").message,
        "there is no template \"t.html\"; the app has no files under templates/"
    );
    let many: Vec<String> = (10..40).map(|n| format!("templates/{n}")).collect();
    let many: Vec<_> = many.iter().map(|path| (path.as_str(), "")).collect();
    let message = render_all(&many, "t.html", "#{}").unwrap_err().0;
    assert!(
        message.ends_with("; there are 10, 11, 12, 13, 14, 15, 16, 17, 18, 19 and others"),
        "{message}"
    );
}

#[test]
fn a_mistake_in_a_template_is_found_when_the_program_is_compiled() {
    let files = [
        ("templates/a.html", "ok {{ x }}"),
        ("templates/b.html", "<p>\n  ä {% if %}"),
        ("templates/c.html", "{% for x in y %}"),
    ];
    let errors = mistakes("1", &files);
    let shown: Vec<_> = errors
        .iter()
        .map(|error| {
            let at = error.position.as_ref().unwrap();
            format!("{}:{}:{} {}", at.file, at.line, at.column, error.message)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "templates/b.html:2:11 unexpected end of block",
            "templates/c.html:1:15 unexpected end of input, expected end of block",
        ]
    );
}

#[test]
fn a_template_is_no_script() {
    let files = [("templates/x.rhai", "1")];
    let errors = mistakes("import \"templates/x\" as x; 1", &files);
    assert_eq!(errors[0].message, "there is no file to import as \"templates/x\"");
    let main = "let p = \"x\"; import \"templates/\" + p as x; 1";
    let error = send(&World::default(), main, &files, request("GET")).unwrap_err();
    assert_eq!(error.code.as_deref(), Some("not_found"));
    // Nor do its words mean anything to the scripts beside it.
    compile(&World::default(), "1", &[("templates/y.html", "fn get( import \"gone\"")]);
}

#[test]
fn what_a_template_cannot_use_is_refused() {
    for (value, message) in [
        ("blob(1)", "a template cannot use a blob; make a string of it first"),
        ("|x| x", "a template cannot use a function"),
        ("[#{y: kv::collection(\"c\")}]", "a template cannot use a Collection"),
    ] {
        let error = render("", &format!("#{{x: {value}}}")).unwrap_err();
        assert_eq!(error, (message.to_owned(), Some("invalid_value".to_owned())), "{value}");
    }
    check("{{ x.accept }}", "#{x: req.headers}", "text&#x2f;html, *&#x2f;*");
    let deep = "let x = []; for n in 0..200 { x = [x]; } template::render(\"t.html\", #{x: x})";
    let error =
        send(&World::default(), deep, &[("templates/t.html", "")], request("GET")).unwrap_err();
    assert_eq!(error.message, "the data are nested deeper than 128 levels");
}

#[test]
fn templates_can_be_rendered_while_the_program_is_loaded() {
    let files = [
        ("a.rhai", "export const X = template::render(\"t.html\", #{});"),
        ("templates/t.html", "hi"),
    ];
    let response = send(&World::default(), "import \"a\" as a; a::X", &files, request("GET"));
    assert_eq!(response.unwrap().body, b"hi");
}

/// Natively the frames are of about the size that they have in the sandbox, where
/// 512 KiB are for everything.
const STACK_BYTES: usize = 384 << 10;

#[track_caller]
fn on_a_small_stack<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(body).unwrap().join().unwrap()
}

#[test]
fn recursion_ends_in_an_error() {
    for template in [
        "{% include 't.html' %}",
        "{% for x in [1] %}{% if x %}{% include ['gone', 't.html'] %}{% endif %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ caller() }}{% call m() %}{% endcall %}{% endmacro %}{% call m() %}{% endcall %}",
        "{% block a %}{{ self.a() }}{% endblock %}",
        "{% import 't.html' as t %}{{ t.x }}",
        "{% for x in [[1]] recursive %}{{ loop([x]) }}{% endfor %}",
        "{% extends 't.html' %}",
    ] {
        let (message, code) =
            on_a_small_stack(move || render(template, "#{}")).expect_err(template);
        assert_eq!(code.as_deref(), Some("render_error"), "{template} {message}");
        assert!(message.contains("recursion") || message.contains("cycle"), "{template} {message}");
    }
}

#[test]
fn ordinary_pages_are_not_too_deep() {
    let part = |n: usize| {
        let next = if n == 7 { "end".to_owned() } else { format!("{{% include '{}' %}}", n + 1) };
        (
            format!("templates/{n}"),
            format!("{{% for x in [1] %}}{{% if x %}}{next}{{% endif %}}{{% endfor %}}"),
        )
    };
    let parts: Vec<_> = (0..=7).map(part).collect();
    let files: Vec<_> = parts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert_eq!(render_all(&files, "0", "#{}").as_deref(), Ok("end"));
}

#[test]
fn deep_values_and_deep_sources_do_not_exhaust_the_stack() {
    let deep = "let x = []; for n in 0..125 { x = [x]; } template::render(\"t.html\", #{x: x})";
    let files = [("templates/t.html", "{{ x }}{{ x == x }}{{ x|string|length }}")];
    let body = on_a_small_stack(move || send(&World::default(), deep, &files, request("GET")));
    assert!(String::from_utf8(body.unwrap().body).unwrap().ends_with("true252"));
    for text in [
        format!("{{{{ {}1{} }}}}", "(".repeat(5_000), ")".repeat(5_000)),
        format!("{{{{ {}1{} }}}}", "[".repeat(5_000), "]".repeat(5_000)),
        "{% if 1 %}".repeat(5_000),
        "{% for x in y %}".repeat(5_000),
    ] {
        let errors = on_a_small_stack(move || mistakes("1", &[("templates/t.html", &text)]));
        assert_eq!(errors.len(), 1);
    }
}

#[test]
fn nothing_is_rendered_without_a_template() {
    assert_eq!(code("template::render(\"\", #{})"), "template template_not_found");
    assert_eq!(code("template::render(\"../main.rhai\", #{})"), "template template_not_found");
    assert_eq!(code("template::render(\"main.rhai\", #{})"), "template template_not_found");
}
