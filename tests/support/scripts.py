"""Scripts of SMT-LIB 2, made at random, and whether they can be satisfied."""

import bitwuzla

HEAD = "(set-logic QF_BV)"


def declared(width, *names):
    """The head of a script over symbols of that width."""
    return HEAD + "".join(f"(declare-const {n} (_ BitVec {width}))" for n in names)


def is_satisfiable(text):
    """What bitwuzla says of it."""
    parser = bitwuzla.Parser(bitwuzla.TermManager(), bitwuzla.Options())
    parser.parse(text, parse_only=True, parse_file=False)
    result = parser.bitwuzla().check_sat()
    assert result in (bitwuzla.Result.SAT, bitwuzla.Result.UNSAT)
    return result == bitwuzla.Result.SAT


def random_script(numbers, width):
    """Sums, differences, products with constants, comparisons and choices over six symbols."""
    names = ["a", "a@0", "b", "b@0", "c", "d"]

    def term(depth):
        if depth == 0 or numbers.random() < 0.2:
            return numbers.choice([*names, f"(_ bv{numbers.randrange(1 << width)} {width})"])
        one, other = term(depth - 1), term(depth - 1)
        by = f"(_ bv{numbers.randrange(1 << width)} {width})"
        return numbers.choice([
            f"(bvadd {one} {other})", f"(bvsub {one} {other})", f"(bvneg {one})", f"(bvmul {by} {one})",
            f"(bvmul {one} {by})", f"(bvmul {one} {other})", f"(bvand {one} {other})", "(bvsub a a@0)",
            f"(ite {claim(depth - 1)} {one} {other})", f"(let ((a {one}) (b a)) (bvadd b (bvsub a {other})))",
            f"(concat ((_ extract {width - 2} 0) {one}) ((_ extract 0 0) {other}))",
            f"(concat ((_ extract {width - 3} 0) {one}) #b00)",
            f"(concat ((_ extract {width - 2} 1) {one}) #b00)",
            f"(concat #b00 (bvadd ((_ extract {width - 3} 0) {one}) ((_ extract {width - 3} 0) {other})))",
            f"(concat #b0 ((_ extract {width - 2} 0) (bvsub {one} {other})))",
            f"(concat ((_ extract {width - 3} 0) ((_ extract {width - 1} 1) {one})) #b00)",
            f"(concat #b00 (bvadd ((_ extract {width - 3} 0) {one}) "
            f"((_ extract {width - 3} 0) ((_ extract {width - 1} 1) {other}))))",
        ])  # fmt: skip

    def claim(depth):
        one, other = term(depth), term(depth)
        relation = numbers.choice(["=", "=", "bvule", "bvult", "bvslt"])
        found = f"({relation} {one} {other})"
        return numbers.choice([found, found, f"(not {found})", f"(and {found} (bvule {one} {other}))"])

    asserted = "".join(f"(assert {claim(3)})" for _ in range(4))
    return f"{declared(width, *names)}(define-fun e () (_ BitVec {width}) {term(2)}){asserted}(check-sat)"
