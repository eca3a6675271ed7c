"""`mcverify check`: a proof bundle, by other solvers."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcverify.cli.options import need_solvers
from mcverify.cli.sizes import parse_seconds
from mcverify.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcverify.check.bundle import Bundle
    from mcverify.check.certificates import Certificate
    from mcverify.check.check import Checked

_SECONDS = 20.0


@click.command(short_help="Check the proofs that `prove --proof DIR` wrote.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--limit",
    metavar="S",
    help=f"Give each solver S seconds for each obligation. [default: {_SECONDS:g}]",
)
@click.option(
    "--certificates",
    is_flag=True,
    help="Have a SAT solver prove each obligation too, and a checker of DRAT follow its proofs.",
)
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Ask so many at once. [default: one per CPU]")
@click.option("-v", "--verbose", is_flag=True, help="Every obligation with who said what.")
def check(folder: Path, limit: str | None, certificates: bool, jobs: int | None, verbose: bool) -> ExitCode:
    """Check a proof bundle with bitwuzla and cvc5, without the engine that made it.

    That no path and no obligation is missing is worked out from the object in the bundle; then both solvers
    are asked each obligation, as it was before anything was simplified.

    \b
    Exit codes: 0 every obligation holds, 2 the bundle is damaged, changed or not complete,
    3 no solver decided an obligation, or it has no certificate, 4 an obligation does not hold, the solvers
    disagree, or a certificate is wrong.
    """  # noqa: D301 -- click wants the control character \b itself
    seconds = _SECONDS if limit is None else parse_seconds(limit, "--limit")
    need_solvers("bitwuzla", "cvc5", *(("pysat", "dratify", "cdclkit") if certificates else ()))
    from mcverify.check.certificates import certify_all
    from mcverify.check.check import checked, complete
    from mcverify.cli.progress import status_line

    with status_line() as progress:
        progress("reading the bundle")
        bundle, found = complete(folder)
        total, at_once = len(found), jobs or len(os.sched_getaffinity(0))
        results = list(
            checked(found, seconds, at_once, lambda done: progress(f"obligation {done} of {total}"))
        )
        texts = [obligation.text for _, obligation in found] if certificates else []
        made = list(
            certify_all(texts, seconds, at_once, lambda done: progress(f"certificate {done} of {total}"))
        )
    _show(bundle, results, made, verbose=verbose)
    return max(_code(results), _code_of_certificates(made))


def _code(results: Sequence[Checked]) -> ExitCode:
    from mcverify.check.check import Standing

    standings = {result.standing for result in results}
    if standings & {Standing.DISPUTED, Standing.FAILS}:
        return ExitCode.INTERNAL
    return ExitCode.UNKNOWN if Standing.OPEN in standings else ExitCode.PROVED


def _code_of_certificates(made: Sequence[Certificate]) -> ExitCode:
    from mcverify.check.certificates import Certified

    standings = {certificate.standing for certificate in made}
    if Certified.REJECTED in standings:
        return ExitCode.INTERNAL
    return ExitCode.UNKNOWN if Certified.NONE in standings else ExitCode.PROVED


def _show(bundle: Bundle, results: Sequence[Checked], made: Sequence[Certificate], *, verbose: bool) -> None:
    from mcverify.check.check import Standing
    from mcverify.check.solvers import SOLVERS, versions

    manifest = bundle.manifest
    known = versions()
    click.echo(
        f"{bundle.folder}: {manifest.source}, proved by mcverify {manifest.tools.get('mcverify', '?')}"
    )
    click.echo("solvers: " + ", ".join(f"{name} {known[name]}" for name in SOLVERS))
    for proof in manifest.proofs:
        own = [result for result in results if result.proof is proof]
        routine = proof.routine
        by_standing = Counter(result.standing for result in own)
        words = ", ".join(f"{count} {standing}" for standing, count in sorted(by_standing.items()))
        click.echo(f"\n{routine.title} ({routine.contract.name}): {len(own)} obligations, {words}")
        click.echo(f"  {len(routine.locations)} locations, {len(routine.paths)} paths: none is missing")
        for name in SOLVERS:
            said = Counter(result.replies[name].said for result in own)
            click.echo(f"  {name}: " + ", ".join(f"{count} {word}" for word, count in sorted(said.items())))
        for sentence in routine.assumptions:
            click.echo(f"  assumed: {sentence}")
        for result in own:
            if verbose or result.standing is not Standing.HOLDS:
                _show_one(bundle, result)
    if made:
        _show_certificates(bundle, results, made, verbose=verbose)


def _show_certificates(
    bundle: Bundle, results: Sequence[Checked], made: Sequence[Certificate], *, verbose: bool
) -> None:
    from mcverify.check.certificates import Certified

    by_standing = Counter(certificate.standing for certificate in made)
    words = ", ".join(f"{count} {standing}" for standing, count in sorted(by_standing.items()))
    lines = sorted(c.lines for c in made)
    click.echo(f"\ncertificates: {words}; up to {lines[-1]} lines, {lines[len(lines) // 2]} in the middle")
    for result, certificate in zip(results, made, strict=True):
        if verbose or certificate.standing is not Certified.CHECKED:
            why = f" ({certificate.why})" if certificate.why else ""
            size = f"{certificate.clauses} clauses, {certificate.lines} lines, {certificate.seconds:.2f} s"
            click.echo(f"  {certificate.standing}: {bundle.folder / result.file}: {size}{why}")


def _show_one(bundle: Bundle, result: Checked) -> None:
    replies = ", ".join(
        f"{name} {reply.said} in {reply.seconds:.2f} s" + (f" ({reply.why})" if reply.why else "")
        for name, reply in result.replies.items()
    )
    click.echo(f"  {result.standing.upper()}: {bundle.folder / result.file}: {replies}")
    click.echo(f"    {result.obligation.says}")
