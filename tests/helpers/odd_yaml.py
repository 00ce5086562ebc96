"""Documents in YAML that are refused."""

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
REFUSED = {
    "invalid number": "!!int foo",
    "invalid float": "!!float foo",
    "invalid boolean": "!!bool maybe",
    "many digits": "9" * 5000,
    "deep": "[" * 3000,
    "deep and closed": "[" * 1500 + "]" * 1500,
    "contains itself": "&a [*a]",
    "mapping that contains itself": "&a {x: *a}",
    "billion laughs": LAUGHS,
    "set": "!!set {a, b}",
    "pairs": "!!pairs [a: 1]",
    "binary": "!!binary '='",
    "date": "!!timestamp 2024-01-01",
    "object": "!!python/object/apply:os.system [ls]",
    "merge of a list": "{<<: [1]}",
    "list as a key": "{[a]: b}",
    "key twice": "{a: 1, a: 2}",
    "long text": "x" * 20_000,
    "many entries": "[" + "1," * 20_000 + "]",
    "control character": "\x00",
}
