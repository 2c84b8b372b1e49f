"""Print the closed forms as C++ statements for one neuron."""

from __future__ import annotations

import sympy
from sympy.printing.cxx import CXX17CodePrinter
from sympy.printing.precedence import PRECEDENCE

from brian_qif.equations.closed_forms import ClosedForm, StumpffC, StumpffD, StumpffS

_STUMPFF = {StumpffC: "C", StumpffS: "S", StumpffD: "D"}


class _Printer(CXX17CodePrinter):
    """Integer powers as products, which vectorise; fractions in the precision of the state."""

    def _print_Rational(self, expression):
        return f"real({super()._print_Rational(expression)})"

    def _print_Pow(self, expression):
        base, exponent = expression.args
        if exponent.is_Integer and 1 < exponent <= 4:
            factor = self.parenthesize(base, PRECEDENCE["Mul"])
            return "(" + "*".join([factor] * int(exponent)) + ")"
        return super()._print_Pow(expression)


def flow_statements(form: ClosedForm) -> list[str]:
    """Statements that compute ``v_after`` and so on from ``v`` and so on."""
    return _statements(form.flow, [f"{symbol.name}_after" for symbol in form.state])


def adjoint_statements(form: ClosedForm) -> list[str]:
    """Statements that compute ``before_v`` and so on from the state and ``adjoint_v`` and so on."""
    return _statements(form.adjoint, [f"before_{symbol.name}" for symbol in form.state])


def _statements(expressions, names: list[str]) -> list[str]:
    """Common subexpressions first; the Stumpff functions are variables C, S and D that the template computes."""
    plain = [
        expression.replace(lambda e: type(e) in _STUMPFF, lambda e: sympy.Symbol(_STUMPFF[type(e)]))
        for expression in expressions
    ]
    shared, reduced = sympy.cse(plain, symbols=sympy.numbered_symbols("shared_"))
    printer = _Printer()
    lines = [f"const real {symbol} = {printer.doprint(value)};" for symbol, value in shared]
    return lines + [f"{name} = {printer.doprint(value)};" for name, value in zip(names, reduced, strict=True)]
