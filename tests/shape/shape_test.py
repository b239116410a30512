#!/usr/bin/env python3
"""The checker of tests/shape/shape.py, checked: what it must find, and what it must leave alone."""
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True
import shape  # noqa: E402

COMPILER = sys.argv.pop() if len(sys.argv) > 1 else "c++"


def body(lines):
    return "\n".join(["  work();"] * lines)


class Tree(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="busway-shape-")
        self.root = Path(self.directory.name).resolve()

    def tearDown(self):
        self.directory.cleanup()

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def sizes(self, path, text):
        self.write(path, text)
        return list(shape.check_sizes(self.root))


class Functions(unittest.TestCase):
    def found(self, text):
        return {name: length for _, length, name in shape.cpp_functions(text)}

    def test_free_functions_in_namespaces(self):
        text = "namespace a::b {\nnamespace {\nint f(int x) {\n" + body(5) + "\n}\n}\n}\n"
        self.assertEqual(self.found(text), {"f": 7})

    def test_the_signature_counts_from_its_first_line(self):
        self.assertEqual(self.found("void f(int a,\n       int b)\n    noexcept {\n  work();\n}\n"), {"f": 5})

    def test_members_within_and_outside_their_class(self):
        text = "class A : public B<int> {\n public:\n  int f() const override {\n    return 1;\n  }\n};\nint A::g() {\n}\n"
        self.assertEqual(self.found(text), {"f": 3, "A::g": 2})

    def test_constructors_with_initializers_in_braces(self):
        text = "A::A(int x) : a_(x), b_{x}, c_{1, 2} {\n  work();\n}\nint after() {\n}\n"
        self.assertEqual(self.found(text), {"A::A": 3, "after": 2})

    def test_lambdas_and_blocks_belong_to_their_function(self):
        text = "void f() {\n  auto g = [&](int x) {\n    if (x) {\n    }\n  };\n}\n"
        self.assertEqual(self.found(text), {"f": 6})

    def test_data_is_no_function(self):
        text = "constexpr T t[] = {\n  {1, {2, 3}},\n};\nenum class E : int { a, b };\nS s{1};\n"
        self.assertEqual(self.found(text), {})

    def test_braces_in_literals_and_comments(self):
        text = 'void f() {\n  say("}{{", \'{\');  // {{{\n  /* }}} */\n  say(R"x(}}})x");\n}\nvoid g() {\n}\n'
        self.assertEqual(self.found(text), {"f": 5, "g": 2})

    def test_test_macros_and_trailing_return_types(self):
        self.assertEqual(self.found("TEST_F(A, B) {\n}\nauto f() -> std::vector<int> {\n}\n"), {"TEST_F": 2, "f": 2})

    def test_templates_and_operators(self):
        text = "template <class T>\nbool operator==(const T& a, const T& b) noexcept {\n}\n"
        self.assertEqual(list(self.found(text).values()), [3])


class Sizes(Tree):
    def test_a_function_of_70_lines_is_too_long_and_one_of_69_is_not(self):
        self.assertEqual(self.sizes("bus/a.cpp", "void f() {\n" + body(67) + "\n}\n"), [])
        self.assertEqual(len(self.sizes("bus/a.cpp", "void f() {\n" + body(68) + "\n}\n")), 1)

    def test_a_file_of_600_lines_is_too_long_and_one_of_599_is_not(self):
        self.assertEqual(self.sizes("daemon/a.hpp", "\n" * 599), [])
        self.assertEqual(len(self.sizes("daemon/a.hpp", "\n" * 600)), 1)

    def test_python_is_held_to_the_same(self):
        self.assertEqual(len(self.sizes("scripts/a.py", "def f():\n" + "    pass\n" * 70)), 1)

    def test_marks_of_unfinished_work_are_named_with_their_line(self):
        self.assertIn("bus/a.cpp:2:", self.sizes("bus/a.cpp", "\n// " + "TO" + "DO: later\n")[0])


class Headers(Tree):
    def headers(self, text):
        self.write("bus/include/busway/a.hpp", text)
        return list(shape.check_headers(self.root, COMPILER))

    def test_a_header_of_the_standard_library_alone_is_fine(self):
        self.assertEqual(self.headers("#pragma once\n#include <string>\nstd::string f();\n"), [])

    def test_a_header_that_needs_another_one_first_is_named(self):
        self.assertIn("does not compile alone", self.headers("#pragma once\nstd::string f();\n")[0])

    def test_a_header_that_pulls_in_boost_is_named(self):
        offences = self.headers("#pragma once\n#include <boost/version.hpp>\n")
        self.assertTrue(any("pulls in" in offence and "boost" in offence for offence in offences), offences)

    def test_a_header_that_pulls_in_a_private_one_is_named(self):
        self.write("bus/base/b.hpp", "#pragma once\n")
        offences = self.headers('#pragma once\n#include "../../base/b.hpp"\n')
        self.assertTrue(any("not installed" in offence for offence in offences), offences)

    def test_no_header_at_all_is_an_offence(self):
        self.assertEqual(len(list(shape.check_headers(self.root, COMPILER))), 1)


if __name__ == "__main__":
    unittest.main()
