#!/usr/bin/env python3
"""Keeps the code in shape: files under 600 lines, functions under 70, no unfinished marks, public headers on their own.

    shape.py sizes ROOT                 lengths of files and functions, marks of unfinished work
    shape.py headers ROOT COMPILER      each public header compiles alone and pulls in nothing but the standard library
                                        and other public headers

Prints one line for each offence and ends with status 1 if there is any. The limits may only shrink.
"""
import ast
import re
import subprocess
import sys
from pathlib import Path

FILE_LINES = 600
FUNCTION_LINES = 70
TREES = ["bus", "daemon", "clients", "tests", "bench", "examples", "scripts", "cmake"]
CPP = {".cpp", ".hpp", ".h", ".c", ".cc"}
CHECKED = CPP | {".py", ".fbs", ".cmake", ".sh", ""}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
FOREIGN = re.compile(r"/(boost|flatbuffers|liburing|spdlog|fmt|CLI|toml\+\+|nlohmann)(/|\.h)")


def blank_out(text):
    """The text with comments, literals and preprocessor lines blanked out; lines stay where they are."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/'
        r'|R"(?P<delimiter>[^()\\ \n]*)\(.*?\)(?P=delimiter)"'
        r'|"(?:\\.|[^"\\\n])*"|(?<![0-9a-zA-Z])\'(?:\\.|[^\'\\\n])*\'|^[ \t]*#(?:\\\n|[^\n])*',
        re.S | re.M,
    )
    return pattern.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


def kind_of_brace(before):
    """What a `{` opens, from the statement's text in front of it: scope, function, or other."""
    words = before.strip()
    if re.search(r"\bnamespace\b[\w\s:]*$", words) or words.startswith("extern"):
        if "(" not in words:
            return "scope"
    initializers = re.search(r"\)\s*(?:noexcept\s*)?:(?!:)", words)
    if initializers and re.search(r"[\w>]$", words):
        return "other"  # a member's initializer in braces
    if re.search(r"(=|\breturn|,|\()$", words):
        return "other"
    if re.search(r"\)[\s\w&:<>,*\[\]]*(->[^;{]*)?$", words) or (initializers and re.search(r"[)}]$", words)):
        return "function"
    if re.match(r"^(?:template\b.*)?[\s\w\[\]:<>,]*\b(class|struct|union|enum)\b", words, re.S):
        return "scope"
    return "other"


def cpp_functions(text):
    """(line, length, name) of every function defined at namespace or class scope."""
    code = blank_out(text)
    stack = []  # of (kind, line, name, statement before the brace)
    statement_start = 0
    line = 1
    found = []
    for at, character in enumerate(code):
        if character == "\n":
            line += 1
        elif character == "{":
            before = code[statement_start:at]
            inside_function = any(kind == "function" for kind, *_ in stack)
            kind = "other" if inside_function else kind_of_brace(before)
            lead = len(before) - len(before.lstrip())
            first_line = line - before[lead:].count("\n")
            name = re.findall(r"([~\w:]+)\s*\(", before)
            stack.append((kind, first_line, name[0] if name else "?", statement_start))
            if kind != "other":
                statement_start = at + 1
        elif character == "}" and stack:
            kind, first_line, name, outer_start = stack.pop()
            if kind == "function":
                found.append((first_line, line - first_line + 1, name))
            # after a member's initializer in braces the statement goes on
            statement_start = outer_start if kind == "other" else at + 1
        elif character == ";" and not any(kind in ("function", "other") for kind, *_ in stack):
            statement_start = at + 1
        elif character == ":" and stack and re.search(r"\b(public|private|protected)\s*$", code[statement_start:at]):
            statement_start = at + 1
    return found


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno + 1, node.name


def source_files(root):
    for tree in TREES:
        for path in sorted((root / tree).rglob("*")):
            if path.is_file() and path.suffix in CHECKED and "__pycache__" not in path.parts:
                yield path


def check_sizes(root):
    for path in source_files(root):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(root)
        lines = text.count("\n")
        if lines >= FILE_LINES:
            yield f"{name}: {lines} lines; a file has fewer than {FILE_LINES}"
        if path.suffix in CPP:
            functions = cpp_functions(text)
        elif path.suffix == ".py":
            functions = python_functions(text)
        else:
            functions = []
        for line, length, function in functions:
            if length >= FUNCTION_LINES:
                yield f"{name}:{line}: {function} has {length} lines; a function has fewer than {FUNCTION_LINES}"
        if path.parent.name != "shape":  # this checker names the marks it looks for
            for number, content in enumerate(text.splitlines(), 1):
                if UNFINISHED.search(content):
                    yield f"{name}:{number}: unfinished work is named in an issue, not in the code"


def check_header(root, compiler, header):
    name = header.relative_to(root)
    command = [compiler, "-std=c++20", "-fsyntax-only", "-H", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    command += ["-I", str(root / "bus/include"), "-x", "c++", "-"]
    source = f"#include <{header.relative_to(root / 'bus/include')}>\n"
    ran = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    included = [str(Path(path).resolve()) for path in re.findall(r"^\.+ (.*)$", ran.stderr, re.M)]
    if ran.returncode != 0:
        words = [line for line in ran.stderr.splitlines() if "error" in line]
        yield f"{name}: does not compile alone: {words[0] if words else ran.stderr.strip()}"
    public = str(root / "bus/include") + "/"
    for path in included:
        if FOREIGN.search(path):
            yield f"{name}: pulls in {path}"
        elif path.startswith(str(root) + "/") and not path.startswith(public):
            yield f"{name}: pulls in {path}, which is not installed"


def check_headers(root, compiler):
    headers = sorted((root / "bus/include").rglob("*.hpp"))
    if not headers:
        yield "no public header was found"
    for header in headers:
        yield from check_header(root, compiler, header)


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "sizes":
        offences = list(check_sizes(Path(arguments[1]).resolve()))
    elif len(arguments) == 3 and arguments[0] == "headers":
        offences = list(check_headers(Path(arguments[1]).resolve(), arguments[2]))
    else:
        print(__doc__, file=sys.stderr)
        return 2
    for offence in offences:
        print(offence)
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
