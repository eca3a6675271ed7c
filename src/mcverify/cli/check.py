"""`mcverify check`: a proof bundle, by other solvers."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mcverify.cli.options import fault_model_option, jobs_option, need_solvers, table_option
from mcverify.cli.sizes import parse_seconds, parse_size
from mcverify.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcverify.check.certificates import Certificate
    from mcverify.check.check import Checked, Complete
    from mcverify.check.question import RepModel
    from mcverify.check.trial import Tried
    from mcverify.contract import FaultModel, Faults, Traps

_SECONDS = 20.0


@click.command(short_help="Check the proofs that `prove --proof DIR` wrote.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--limit",
    metavar="S",
    help=f"Give each solver S seconds for each obligation. [default: {_SECONDS:g}]",
)
@click.option(
    "--contract",
    metavar="NAME|FILE.toml",
    help="What the routines must promise. [default: by their name, else the shipped one of that name]",
)
@click.option(
    "--faults",
    type=click.Choice(["loads", "stores", "both"]),
    help="Which accesses may fault at least. [default: as the contract says]",
)
@click.option(
    "--trap",
    type=click.Choice(["pf", "mc", "both"]),
    help="Which faults may happen at least. [default: as the contract says]",
)
@fault_model_option
@click.option(
    "--len-max",
    metavar="N",
    help="Up to which length it must hold at least. [default: MAX_RW_COUNT, 0x7ffff000]",
)
@click.option(
    "--rep-model",
    type=click.Choice(["ordered", "unordered"]),
    default="ordered",
    help="What may be taken for granted of REP.",
)
@click.option(
    "--seed", metavar="TEXT", help="Try the terms in the states of this seed. [default: others each time]"
)
@click.option(
    "--certificates",
    is_flag=True,
    help="Have a SAT solver prove each obligation too, and a checker of DRAT follow its proofs.",
)
@click.option(
    "--object",
    "whole",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Compare the code in the bundle with FILE, the linked kernel or the module that was proved.",
)
@click.option(
    "--system-map", metavar="FILE", type=click.Path(path_type=Path), help="The symbols of that kernel."
)
@table_option
@jobs_option("Ask so many at once.")
@click.option("-v", "--verbose", is_flag=True, help="Every obligation with who said what.")
def check(
    folder: Path,
    limit: str | None,
    contract: str | None,
    faults: Faults | None,
    trap: Traps | None,
    fault_model: FaultModel | None,
    len_max: str | None,
    rep_model: RepModel,
    seed: str | None,
    certificates: bool,
    whole: Path | None,
    system_map: Path | None,
    table: str | None,
    jobs: int | None,
    verbose: bool,
) -> ExitCode:
    """Check a proof bundle, or a folder of them, with bitwuzla and cvc5, without the engine that made it.

    That no path and no obligation is missing is worked out from the object in the bundle; then both solvers
    are asked each obligation, as it was before anything was simplified. What is asked for - contract, faults,
    lengths - comes from the command line and the contracts that are shipped, never from the bundle.

    Exit codes: 0 every obligation holds, 2 the bundle is damaged, changed, not complete or proves less,
    3 no solver decided an obligation, or it has no certificate, 4 an obligation does not hold, the solvers
    disagree, or a certificate is wrong.
    """
    seconds = _SECONDS if limit is None else parse_seconds(limit, "--limit")
    need_solvers("bitwuzla", "cvc5", *(("pysat", "dratify", "cdclkit") if certificates else ()))
    from mcverify.check.bundle import bundles_in
    from mcverify.check.certificates import certify_all
    from mcverify.check.check import checked, compare, complete
    from mcverify.check.question import Asked
    from mcverify.check.solvers import SOLVERS, versions
    from mcverify.cli.progress import status_line
    from mcverify.contract import layouts_allowed, load_contract
    from mcverify.crew import usable_cpus

    asked = Asked(
        contract=None if contract is None else load_contract(contract),
        faults=faults,
        traps=trap,
        len_max=None if len_max is None else parse_size(len_max, "--len-max"),
        rep_model=rep_model,
        fault_model=fault_model,
        table=layouts_allowed(table, contract),
    )
    bundles = []
    with status_line() as progress:
        for path in bundles_in(folder):
            progress(f"reading {path}")
            bundles.append(complete(path, asked, seed))
            if whole is not None:
                compare(bundles[-1].bundle, whole, system_map, asked.table)
    known = versions()
    click.echo("solvers: " + ", ".join(f"{name} {known[name]}" for name in SOLVERS))
    total, at_once = sum(len(found.obligations) for found in bundles), jobs or usable_cpus()
    rows = None if verbose or len(bundles) == 1 else _Table(bundles)
    results: list[Checked] = []
    made: list[Certificate] = []
    for found in bundles:
        bundle, before = found.bundle, len(results)
        texts = [obligation.text for _, obligation in found.obligations] if certificates else []
        with status_line() as progress:
            of_total = partial(_count, progress, before, total)
            own = list(checked(found.obligations, seconds, at_once, partial(of_total, "obligation")))
            certified = list(certify_all(texts, seconds, at_once, partial(of_total, "certificate")))
        if rows is None:
            _show_bundle(found, own, verbose=verbose)
        else:
            rows.show(found, own)
        _show_certificates(bundle.folder, own, certified, verbose=verbose)
        results += own
        made += certified
    if rows is not None:
        rows.show_all(results)
    if made:
        _show_sizes(made)
    return max(_code(results), _code_of_certificates(made), *map(_code_of_trials, bundles))


def _count(progress: Callable[[str], None], before: int, total: int, what: str, done: int) -> None:
    progress(f"{what} {before + done} of {total}")


def _code(results: Sequence[Checked]) -> ExitCode:
    from mcverify.check.check import Standing

    standings = {result.standing for result in results}
    if standings & {Standing.DISPUTED, Standing.FAILS}:
        return ExitCode.INTERNAL
    return ExitCode.UNKNOWN if Standing.OPEN in standings else ExitCode.PROVED


def _code_of_trials(found: Complete) -> ExitCode:
    """Unknown where terms were not held against the code: nothing tells that they are its own."""
    return ExitCode.UNKNOWN if any(each.tried.not_compared for each in found.proofs) else ExitCode.PROVED


def _code_of_certificates(made: Sequence[Certificate]) -> ExitCode:
    from mcverify.check.certificates import Certified

    standings = {certificate.standing for certificate in made}
    if Certified.REJECTED in standings:
        return ExitCode.INTERNAL
    return ExitCode.UNKNOWN if Certified.NONE in standings else ExitCode.PROVED


class _Table:
    """A row for each routine of several bundles: how many obligations each solver proves, in so many seconds,
    and what it leaves open. A row is printed when its bundle is done: there may be hours of work."""

    def __init__(self, bundles: Sequence[Complete]) -> None:
        from mcverify.check.solvers import SOLVERS

        head = ("routine", "file", "obligations", *SOLVERS, "together")
        total = sum(len(found.obligations) for found in bundles)
        widest = [("all", "", str(total), *[f"{total} (9999.9 s)"] * len(SOLVERS), "")]
        for found in bundles:
            for each in found.proofs:
                widest.append((each.proof.routine.title, found.bundle.manifest.source, *widest[0][2:]))
        self._widths = [max(map(len, column)) for column in zip(head, *widest, strict=True)]
        self._show(head)

    def show(self, found: Complete, own: Sequence[Checked]) -> None:
        """Print the rows of one bundle, and what does not hold."""
        from mcverify.check.check import Standing

        bundle = found.bundle
        for proof in bundle.manifest.proofs:
            its = [result for result in own if result.proof is proof]
            self._show(_cells(proof.routine.title, bundle.manifest.source, its))
        for result in own:
            if result.standing is not Standing.HOLDS:
                _show_one(bundle.folder, result)
        for each in found.proofs:
            if each.tried.not_compared:
                _show_tried(each.tried)

    def show_all(self, results: Sequence[Checked]) -> None:
        """Print the last row."""
        self._show(_cells("all", "", results))

    def _show(self, cells: Sequence[str]) -> None:
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, self._widths, strict=True))
        click.echo(line.rstrip())


def _cells(title: str, source: str, own: Sequence[Checked]) -> tuple[str, ...]:
    from mcverify.check.solvers import SOLVERS

    return title, source, str(len(own)), *(_said(own, name) for name in SOLVERS), _together(own)


def _said(results: Sequence[Checked], solver: str) -> str:
    from mcverify.check.solvers import Said

    replies = [result.replies[solver] for result in results]
    said = Counter(reply.said for reply in replies)
    others = "".join(f", {said[word]} {word}" for word in sorted(said) if word is not Said.UNSAT)
    return f"{said[Said.UNSAT]}{others} ({sum(reply.seconds for reply in replies):.1f} s)"


def _together(results: Sequence[Checked]) -> str:
    by_standing = Counter(result.standing for result in results)
    return ", ".join(f"{count} {standing}" for standing, count in sorted(by_standing.items()))


def _show_bundle(found: Complete, results: Sequence[Checked], *, verbose: bool) -> None:
    from mcverify.check.check import Standing
    from mcverify.check.solvers import SOLVERS
    from mcverify.report.terminal import standard_output
    from mcverify.report.wide import print_hanging

    bundle, manifest = found.bundle, found.bundle.manifest
    click.echo(f"{bundle.folder}: it says that it is about {manifest.source}")
    for each in found.proofs:
        own = [result for result in results if result.proof is each.proof]
        routine, contract = each.proof.routine, each.question.contract
        together = "all hold" if all(r.standing is Standing.HOLDS for r in own) else _together(own)
        click.echo(f"\n{routine.title} ({contract.name}): {len(own)} obligations, {together}")
        print_hanging(
            "  contract: ", f"{contract.name}, {each.question.why}: {contract.summary}", standard_output()
        )
        print_hanging("  asked: ", ", ".join(contract.obligations), standard_output())
        counts = f"locations {len(routine.locations)}, paths {len(routine.paths)}"
        click.echo(f"  {counts}: none is missing")
        _show_tried(each.tried)
        for name in SOLVERS:
            said = Counter(result.replies[name].said for result in own)
            click.echo(f"  {name}: " + ", ".join(f"{count} {word}" for word, count in sorted(said.items())))
        if routine.slack is not None:
            click.echo(f"  slack: at most {routine.slack} good bytes before the bad one are left")
        for sentence in each.assumed:
            print_hanging("  assumed: ", sentence, standard_output())
        for note in routine.notes:
            print_hanging("  the bundle says: ", note, standard_output())
        for result in own:
            if verbose or result.standing is not Standing.HOLDS:
                _show_one(bundle.folder, result)


def _show_tried(tried: Tried) -> None:
    """Print in how many states the terms were held against the code, and where they could not be."""
    click.echo(f"  terms: as the code does it, in {tried.states} states ({tried.instructions} instructions)")
    for place, why in sorted(tried.not_compared.items()):
        click.echo(f"  NOT COMPARED with the code: {place}: {why}")


def _show_certificates(
    folder: Path, own: Sequence[Checked], made: Sequence[Certificate], *, verbose: bool
) -> None:
    """Print the certificates of one bundle: every one, or those that are missing or wrong."""
    from mcverify.check.certificates import Certified

    for result, certificate in zip(own, made, strict=bool(made)):
        if verbose or certificate.standing not in (Certified.CHECKED, Certified.IDENTITY):
            why = f" ({certificate.why})" if certificate.why else ""
            lines = " + ".join(map(str, certificate.lines)) or "0"
            size = f"{certificate.clauses} clauses, {lines} lines, {certificate.seconds:.2f} s"
            click.echo(f"  {certificate.standing}: {folder / result.file}: {size}{why}")


def _show_sizes(made: Sequence[Certificate]) -> None:
    """Print how many certificates there are, and how long."""
    from mcverify.check.certificates import Certified

    by_standing = Counter(certificate.standing for certificate in made)
    words = ", ".join(f"{count} {standing}" for standing, count in sorted(by_standing.items()))
    click.echo(f"\ncertificates: {words}; in {sum(c.seconds for c in made):.1f} s")
    checked = [c.lines for c in made if c.standing is Certified.CHECKED]
    if lines := sorted(n for parts in checked for n in parts):
        most, of_ten = lines[-1], lines[(len(lines) - 1) * 9 // 10]
        click.echo(f"lines of a proof: {lines[len(lines) // 2]} (median), {of_ten} (9 of 10), {most} (most)")
    if divided := [parts for parts in checked if len(parts) > 1]:
        click.echo(f"{len(divided)} of them in parts, {max(map(len, divided))} at most")


def _show_one(folder: Path, result: Checked) -> None:
    replies = ", ".join(
        f"{name} {reply.said} in {reply.seconds:.2f} s" + (f" ({reply.why})" if reply.why else "")
        for name, reply in result.replies.items()
    )
    click.echo(f"  {result.standing.upper()}: {folder / result.file}: {replies}")
    click.echo(f"    {result.obligation.says}")
