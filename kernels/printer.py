"""Reads a statement's Python and prints it twice: as Python for numba, and as CUDA C++.

Every expression is a :class:`Term`: its type and both texts. What the subset holds, and why, is told in
:mod:`astrohpc.kernels.statement`.
"""

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

import numpy as np

FLOATS, UNSIGNED = ("f32", "f64"), ("u32", "u64")
WHOLE = (*UNSIGNED, "i32", "i64")
TYPES = (*WHOLE, *FLOATS)
_SUFFIX = {"u32": "u", "u64": "ull", "i32": "", "i64": "ll", "f32": "f", "f64": ""}

# In Python, in C++, and of which types.
_OPERATORS: dict[type, tuple[str, str, Sequence[str]]] = {
    ast.Add: ("+", "+", TYPES),
    ast.Sub: ("-", "-", TYPES),
    ast.Mult: ("*", "*", TYPES),
    ast.Div: ("/", "/", FLOATS),
    ast.FloorDiv: ("//", "/", UNSIGNED),
    ast.Mod: ("%", "%", UNSIGNED),
    ast.LShift: ("<<", "<<", WHOLE),
    ast.RShift: (">>", ">>", WHOLE),
    ast.BitAnd: ("&", "&", WHOLE),
    ast.BitOr: ("|", "|", WHOLE),
    ast.BitXor: ("^", "^", WHOLE),
}
_COMPARISONS: dict[type, str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
# What it takes, what it gives ("" for the same), and its Python; C++ calls it by its own name.
_INTRINSICS: dict[str, tuple[Sequence[str], str, str]] = {
    "sqrt": (FLOATS, "", "sqrt{bits}({})"),
    "floor": (FLOATS, "", "floor{bits}({})"),
    "fabs": (FLOATS, "", "abs({})"),
    "float_bits": (("f32",), "u32", "f32({}).view(u32)"),
    "bits_float": (("u32",), "f32", "u32({}).view(f32)"),
}


class Signature(NamedTuple):
    """What a statement takes and gives; more than one when it returns a tuple."""

    takes: tuple[str, ...]
    gives: tuple[str, ...]


class Texts(NamedTuple):
    """A statement read: its types, both texts and the names of the statements it calls."""

    signature: Signature
    python: str
    cuda: str
    calls: tuple[str, ...]


class Term(NamedTuple):
    """An expression: its type (``literal`` before it met one, or ``bool``), and both texts."""

    kind: str
    python: str
    cuda: str
    value: int | float = 0


def cpp(name: str) -> str:
    """A variable's name in C++, where many words are taken: by the language, by macros of a kernel."""
    return f"{name}_"


def read(
    tree: ast.FunctionDef,
    look_up: Callable[[str], "Signature | int | float | None"],
    place: str,
) -> Texts:
    """Both texts of a function. ``look_up`` knows the numbers and statements of its module by name."""
    return _Reader(look_up, place).function(tree)


@dataclass
class _Reader:
    look_up: Callable[[str], Signature | int | float | None]
    place: str
    kinds: dict[str, str] = field(default_factory=dict)  # of every variable
    known: set[str] = field(default_factory=set)  # variables that surely have a value here
    calls: dict[str, None] = field(default_factory=dict)
    gives: tuple[str, ...] = ()
    name: str = ""

    def function(self, tree: ast.FunctionDef) -> Texts:
        self.name = tree.name
        plain = tree.args
        if plain.vararg or plain.kwarg or plain.kwonlyargs or plain.defaults or plain.posonlyargs:
            self.refuse(tree, "an argument that is not plain", "give each a name and a type")
        takes = {x.arg: self.type_of(x.annotation, x) for x in plain.args}
        self.kinds, self.known = dict(takes), set(takes)
        result = tree.returns
        if isinstance(result, ast.Subscript) and isinstance(result.slice, ast.Tuple):
            self.gives = tuple(self.type_of(x, tree) for x in result.slice.elts)
        else:
            self.gives = (self.type_of(result, tree),)
        body = tree.body[1:] if ast.get_docstring(tree) else tree.body
        python, cuda = self.block(body, 1)
        if not _returns(body):
            self.refuse(tree, "an end without return", "return a value on every path")
        local = [
            f"    {kind} {cpp(name)};" for name, kind in self.kinds.items() if name not in takes
        ]
        gives = self.gives[0]
        if len(self.gives) > 1:
            gives = f"{self.name}_result"
            members = " ".join(f"{kind} _{k};" for k, kind in enumerate(self.gives))
            struct = [f"struct {gives} {{ {members} }};"]
        else:
            struct = []
        listed = ", ".join(f"{kind} {cpp(name)}" for name, kind in takes.items())
        head = f"__device__ __forceinline__ {gives} {self.name}({listed}) {{"
        return Texts(
            Signature(tuple(takes.values()), self.gives),
            "\n".join([f"def {self.name}({', '.join(takes)}):", *python, ""]),
            "\n".join([*struct, head, *local, *cuda, "}", ""]),
            tuple(self.calls),
        )

    def refuse(self, node: ast.AST, what: str, remedy: str) -> NoReturn:
        line = getattr(node, "lineno", 1)
        raise ValueError(
            f"{self.place}: statement {self.name}, line {line}: {what} is not of the subset; {remedy}."
        )

    def type_of(self, annotation: ast.expr | None, node: ast.AST) -> str:
        name = annotation.id if isinstance(annotation, ast.Name) else ""
        if name not in TYPES:
            written = ast.unparse(annotation) if annotation else "no type"
            self.refuse(node, f"the type of an argument or result ({written})", f"use {TYPES}")
        return name

    # Statements: lists of lines, in Python and in C++.

    def block(self, body: Sequence[ast.stmt], depth: int) -> tuple[list[str], list[str]]:
        lines = [self.line(node, depth) for node in body]
        return [x for python, _ in lines for x in python], [x for _, cuda in lines for x in cuda]

    def line(self, node: ast.stmt, depth: int) -> tuple[list[str], list[str]]:
        pad = "    " * depth
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                term = self.assign(name, self.term(value), node)
            case ast.AugAssign(target=ast.Name(id=name) as target, op=op, value=value):
                read = ast.copy_location(ast.Name(name, ast.Load()), target)
                whole = ast.copy_location(ast.BinOp(read, op, value), node)
                term = self.assign(name, self.term(whole), node)
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Call() as call):
                return self.unpack(node, names, call, pad)
            case ast.Return(value=ast.Tuple(elts=values)):
                terms = [
                    self.typed(self.term(x), kind, x)
                    for x, kind in zip(values, self.of_length(len(values), node), strict=True)
                ]
                python = ", ".join(x.python for x in terms)
                return [f"{pad}return {python}"], [
                    f"{pad}return {{{', '.join(x.cuda for x in terms)}}};"
                ]
            case ast.Return(value=ast.expr() as value):
                term = self.typed(self.term(value), self.of_length(1, node)[0], node)
                return [f"{pad}return {term.python}"], [f"{pad}return {term.cuda};"]
            case ast.If():
                return self.choice(node, depth, pad)
            case ast.For(
                target=ast.Name(id="_"),
                iter=ast.Call(func=ast.Name(id="range"), args=[ast.expr() as count], keywords=[]),
                orelse=[],
            ):
                times = self.term(count)
                if times.kind != "literal" or not isinstance(times.value, int):
                    self.refuse(node, "a range that is not a literal", "write how many times")
                rounds = [self.block(node.body, depth) for _ in range(times.value)]
                return [x for r in rounds for x in r[0]], [x for r in rounds for x in r[1]]
            case _:
                self.refuse(node, f"`{ast.unparse(node).splitlines()[0]}`", "see statement.py")
        return [f"{pad}{name} = {term.python}"], [f"{pad}{cpp(name)} = {term.cuda};"]

    def assign(self, name: str, term: Term, node: ast.AST) -> Term:
        if term.kind == "literal" and name not in self.kinds:
            self.refuse(node, f"{name}, a number without a type", "cast it, as in f32(0.5)")
        kind = self.kinds.get(name, term.kind)
        self.kinds[name] = kind
        self.known.add(name)
        return self.typed(term, kind, node)

    def of_length(self, length: int, node: ast.AST) -> tuple[str, ...]:
        if length != len(self.gives):
            self.refuse(node, f"a return of {length} values", f"give {len(self.gives)} as declared")
        return self.gives

    def unpack(
        self, node: ast.AST, names: Sequence[ast.expr], call: ast.Call, pad: str
    ) -> tuple[list[str], list[str]]:
        called, python, cuda = self.called(call)
        if len(called.gives) != len(names) or len(names) < 2:
            self.refuse(node, f"{len(called.gives)} results for {len(names)} names", "name each")
        python_names, lines = [], [f"{pad}{{ auto all = {cuda};"]
        for k, (target, kind) in enumerate(zip(names, called.gives, strict=True)):
            if not isinstance(target, ast.Name):
                self.refuse(node, "a target that is not a name", "assign to names")
            self.assign(target.id, Term(kind, "", ""), node)
            python_names.append(target.id)
            lines.append(f"{pad}  {cpp(target.id)} = all._{k};")
        return [f"{pad}{', '.join(python_names)} = {python}"], [*lines, f"{pad}}}"]

    def choice(self, node: ast.If, depth: int, pad: str) -> tuple[list[str], list[str]]:
        test, before = self.truth(node.test), set(self.known)
        python, cuda = self.block(node.body, depth + 1)
        after = self.known if not _returns(node.body) else None
        self.known = set(before)
        python_else, cuda_else = self.block(node.orelse, depth + 1)
        # A name given a value on one way only has none below: C++ would read what lay there.
        if after is not None:
            self.known = after if node.orelse and _returns(node.orelse) else after & self.known
        python = [f"{pad}if {test.python}:", *python]
        cuda = [f"{pad}if ({test.cuda}) {{", *cuda, f"{pad}}}"]
        if node.orelse:
            python += [f"{pad}else:", *python_else]
            cuda += [f"{pad}else {{", *cuda_else, f"{pad}}}"]
        return python, cuda

    # Expressions: terms.

    def term(self, node: ast.expr) -> Term:
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return Term("literal", "", "", value)
            case ast.Name(id=name):
                return self.variable(name, node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.negative(self.term(operand), node)
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                term = self.of(WHOLE, self.term(operand), node)
                return Term(term.kind, f"{term.kind}(~{term.python})", f"(~{term.cuda})")
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                term = self.truth(operand)
                return Term("bool", f"(not {term.python})", f"(!{term.cuda})")
            case ast.BoolOp(op=op, values=values):
                terms = [self.truth(x) for x in values]
                word, sign = (" and ", " && ") if isinstance(op, ast.And) else (" or ", " || ")
                python = word.join(x.python for x in terms)
                return Term("bool", f"({python})", f"({sign.join(x.cuda for x in terms)})")
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                one, two = self.pair(self.term(left), self.term(right), node)
                sign = _COMPARISONS[type(op)]
                return Term(
                    "bool", f"({one.python} {sign} {two.python})", f"({one.cuda} {sign} {two.cuda})"
                )
            case ast.IfExp(test=test, body=body, orelse=orelse):
                asked = self.truth(test)
                one, two = self.pair(self.term(body), self.term(orelse), node)
                return Term(
                    one.kind,
                    f"({one.python} if {asked.python} else {two.python})",
                    f"({asked.cuda} ? {one.cuda} : {two.cuda})",
                )
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return self.operation(_OPERATORS[type(op)], self.term(left), self.term(right), node)
            case ast.Call(func=ast.Name(id=name), args=[operand]) if name in TYPES:
                return self.cast(name, self.term(operand), node)
            case ast.Call(func=ast.Name(id=name), args=[operand]) if name in _INTRINSICS:
                takes, gives, python = _INTRINSICS[name]
                term = self.of(takes, self.term(operand), node)
                text = python.format(term.python, bits=term.kind[1:])
                return Term(gives or term.kind, text, f"{name}({term.cuda})")
            case ast.Call():
                called, python, cuda = self.called(node)
                if len(called.gives) > 1:
                    self.refuse(node, "a tuple inside of an expression", "assign it to names first")
                return Term(called.gives[0], python, cuda)
            case _:
                return self.refuse(node, f"`{ast.unparse(node)}`", "see statement.py")

    def variable(self, name: str, node: ast.AST) -> Term:
        if name in self.kinds:
            if name not in self.known:
                self.refuse(node, f"{name}, which may have no value here", "assign it on all paths")
            return Term(self.kinds[name], name, cpp(name))
        number = self.look_up(name)
        if isinstance(number, bool) or not isinstance(number, int | float):
            self.refuse(node, f"the name {name}", "use arguments, variables, numbers of the module")
        return Term("literal", "", "", number)

    def called(self, node: ast.Call) -> tuple[Signature, str, str]:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        found = self.look_up(name)
        if not isinstance(found, Signature) or node.keywords or len(node.args) != len(found.takes):
            self.refuse(
                node, f"`{ast.unparse(node)}`", "call statements, by place, with all arguments"
            )
        self.calls[name] = None
        terms = [
            self.typed(self.term(x), kind, x)
            for x, kind in zip(node.args, found.takes, strict=True)
        ]
        python, cuda = ", ".join(x.python for x in terms), ", ".join(x.cuda for x in terms)
        return found, f"{name}({python})", f"{name}({cuda})"

    def operation(
        self, operator: tuple[str, str, Sequence[str]], one: Term, two: Term, node: ast.AST
    ) -> Term:
        python, cuda, kinds = operator
        if one.kind == two.kind == "literal":
            self.refuse(node, "arithmetic of bare numbers", "name the result in the module")
        one, two = self.pair(one, two, node)
        kind = self.of(kinds, one, node).kind
        text = f"({one.python} {python} {two.python})"
        if kind in WHOLE:  # numba widens them; the cast brings them back, and costs nothing
            text = f"{kind}{text}"
        elif python == "*":  # by a name, for numba-cuda would contract an operator
            text = f"mul{kind[1:]}({one.python}, {two.python})"
        return Term(kind, text, f"({one.cuda} {cuda} {two.cuda})")

    def negative(self, term: Term, node: ast.AST) -> Term:
        if term.kind == "literal":
            return term._replace(value=-term.value)
        self.of(("i32", "i64", *FLOATS), term, node)
        python = f"{term.kind}(-{term.python})" if term.kind in WHOLE else f"(-{term.python})"
        return Term(term.kind, python, f"(-{term.cuda})")

    def cast(self, kind: str, term: Term, node: ast.AST) -> Term:
        if term.kind == "literal":
            return self.typed(term, kind, node)
        self.of(TYPES, term, node)
        return Term(kind, f"{kind}({term.python})", f"(({kind}){term.cuda})")

    def truth(self, node: ast.expr) -> Term:
        return self.of(("bool",), self.term(node), node)

    def of(self, kinds: Sequence[str], term: Term, node: ast.AST) -> Term:
        if term.kind not in kinds:
            self.refuse(node, f"a {term.kind} here", f"it takes {' or '.join(kinds)}")
        return term

    def pair(self, one: Term, two: Term, node: ast.AST) -> tuple[Term, Term]:
        if one.kind == "literal":
            return self.typed(one, two.kind, node), two
        return one, self.typed(two, one.kind, node)

    def typed(self, term: Term, kind: str, node: ast.AST) -> Term:
        """A term of this type: as it is, or a literal that becomes one."""
        if term.kind == kind and kind != "literal":
            return term
        if term.kind != "literal" or kind not in TYPES:
            self.refuse(node, f"{term.kind} with {kind}", "cast one of them by name")
        return literal(term.value, kind, lambda what: self.refuse(node, what, "mend the number"))


def literal(value: int | float, kind: str, refuse: Callable[[str], NoReturn]) -> Term:
    """A number of a type, written so that both compilers read the same bits."""
    if kind in FLOATS:
        number = np.float32(value) if kind == "f32" else np.float64(value)
        if not np.isfinite(number):
            refuse(f"{value} as {kind}")
        exact = float(number)
        return Term(kind, f"{kind}({exact!r})", f"{exact.hex()}{_SUFFIX[kind]}")
    bits = int(kind[1:])
    low, high = (0, 2**bits) if kind in UNSIGNED else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    if not isinstance(value, int) or not low <= value < high:
        refuse(f"{value} as {kind}")
    return Term(kind, f"{kind}({value})", f"({kind}){value}{_SUFFIX[kind]}")


def _returns(body: Sequence[ast.stmt]) -> bool:
    """Whether every path through it returns."""
    last = body[-1] if body else None
    if isinstance(last, ast.If):
        return _returns(last.body) and _returns(last.orelse)
    return isinstance(last, ast.Return)
