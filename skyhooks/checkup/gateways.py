"""The gateways: alive, reachable, on our store, on our clock, and of our secret."""

from collections.abc import Iterator
from typing import Final

import skyhooks
from skyhooks.checkup.finding import Finding, Mistake, check, good
from skyhooks.checkup.subject import Subject
from skyhooks.checkup.visit import PROBE_REFUSED, Visit
from skyhooks.registry import APP
from skyhooks.sender import MISCONFIGURED
from skyhooks.signature import TOLERANCE

SLOW_CLOCK: Final = 60.0
"""Seconds between two clocks that are worth a warning."""

NO_GATEWAY: Final = Mistake(
    "no_gateway",
    "warn",
    "no gateway is alive in the store: results go to its log, and nobody shows them before one comes.",
    "start one on this store: skyhooks gateway, or skyhooks up",
)
OTHER_STORE: Final = Mistake(
    "other_store",
    "fail",
    "a gateway answers that is not alive in the workers' store: it uses another one, and never sees their results.",
    "give gateways and workers the same store: SKYHOOKS_STORE for both, or --store there and skyhooks_store here",
)
UNREACHABLE: Final = Mistake(
    "gateway_unreachable",
    "fail",
    "a gateway that the store names as alive does not answer at its URL from here.",
    "start it or open the way to it; if its URL is not one that this machine can reach, start it with "
    "-X public_url=… (one that has just died leaves the registry by itself within seconds)",
)
URL_SILENT: Final = Mistake(
    "url_silent",
    "fail",
    "nothing answers at a gateway's URL that was given with --url or SKYHOOKS_URL.",
    "start a gateway there, or correct the URL",
)
UNTRUSTED: Final = Mistake(
    "gateway_untrusted",
    "fail",
    "the certificate of a gateway is not one that is trusted here, or not for its name.",
    "name the PEM file of its authority with skyhooks_ca or SKYHOOKS_CA, and a URL that the certificate is for with "
    "-X public_url=…",
)
NOT_A_GATEWAY: Final = Mistake(
    "not_a_gateway",
    "fail",
    "something answers at a gateway's URL, and it is not that gateway: a proxy without a way to it, another program, "
    "another node.",
    "have its URL lead to it: correct the proxy, or the gateway's -X public_url=…",
)
HOST_REFUSED: Final = Mistake(
    "host_refused",
    "fail",
    "a gateway does not answer to the host name in its own URL.",
    "start it with -X hosts=… naming that host",
)
NOT_READY: Final = Mistake(
    "gateway_not_ready",
    "warn",
    "a gateway answers, and says that it cannot serve now.",
    "mend what it says; most often its store does not answer",
)
OTHER_VERSION: Final = Mistake(
    "other_version",
    "warn",
    "a gateway runs another version of skyhooks than this machine.",
    "install the same version everywhere",
)
CLOCKS_APART: Final = Mistake(
    "clocks_apart",
    "warn",
    f"the clocks of this machine and of a gateway differ by more than {SLOW_CLOCK:g} seconds; from {TOLERANCE} on "
    "webhooks are refused.",
    "have both keep time by NTP (timedatectl set-ntp true, or chrony)",
)
CLOCK_WRONG: Final = Mistake(
    "clock_wrong",
    "fail",
    f"the clocks of this machine and of a gateway differ by more than {TOLERANCE} seconds, so it refuses every webhook "
    "as stale.",
    "set the one that is wrong, and have both keep time by NTP (timedatectl set-ntp true, or chrony)",
)
NO_SECRET: Final = Mistake(
    "no_secret",
    "fail",
    "a live gateway wants signed webhooks and there is no secret here: results wait and reach nobody.",
    "give workers the gateway's secret: SKYHOOKS_SECRET or skyhooks_secret",
)
UNSIGNED: Final = Mistake(
    "unsigned",
    "warn",
    "there is no secret, so workers talk to gateways that are --open only.",
    "export SKYHOOKS_SECRET=$(skyhooks secret), the same for workers and gateways",
)
BAD_SECRET: Final = Mistake(
    "bad_secret",
    "fail",
    "the secret is not one: whsec_ and the base64 of 24 to 64 random bytes.",
    "export SKYHOOKS_SECRET=$(skyhooks secret), the same for workers and gateways",
)
OTHER_SECRET: Final = Mistake(
    "other_secret",
    "fail",
    "a gateway refuses what is signed with the secret that is here: it has another one.",
    "give both the same secret; while it is being changed, gateways take several: SKYHOOKS_SECRET='new,old'",
)


@check(NO_GATEWAY, UNREACHABLE, UNTRUSTED, NOT_A_GATEWAY, HOST_REFUSED, NOT_READY, OTHER_VERSION)
def gateways(subject: Subject) -> Iterator[Finding]:
    """Whether gateways are alive in the store, and each answers at its URL."""
    if subject.store_error is None and not subject.gateways:
        yield NO_GATEWAY.found("gateways: none is alive in the store; results go to the log and wait there")
    for visit in subject.visits:
        yield _answering(visit)
        if visit.status is not None and visit.status.version != skyhooks.__version__:
            what = f"{visit} runs skyhooks {visit.status.version}, and this is {skyhooks.__version__}"
            yield OTHER_VERSION.found(what)


@check(OTHER_STORE, URL_SILENT)
def stores(subject: Subject) -> Iterator[Finding]:
    """Whether the gateways that are said to belong here are on the workers' store; by default the one on port 8080."""
    alive = {node.id for node in subject.nodes}
    for visit in subject.elsewhere:
        if visit.status is None:
            if subject.urls:
                yield URL_SILENT.found(f"{visit} does not answer as one ({visit.failure or visit.refusal})")
        elif subject.store_error is None and visit.status.node not in alive:
            what = f"gateway {visit.status.node} at {visit.node.url} is not on the store {subject.shown_store}"
            yield OTHER_STORE.found(what)
        elif subject.store_error is None:
            yield good(f"gateway {visit.status.node} at {visit.node.url} is on this store")


@check(CLOCKS_APART, CLOCK_WRONG)
def clocks(subject: Subject) -> Iterator[Finding]:
    """How far the clocks of the gateways are from this machine's, by their Date header."""
    visits = {visit.node.url: visit for visit in (*subject.elsewhere, *subject.visits)}
    known = [visit for visit in visits.values() if visit.skew is not None]
    worst = 0.0
    for visit in known:
        skew = visit.skew or 0.0
        worst = max(worst, abs(skew))
        if abs(skew) > SLOW_CLOCK:
            mistake = CLOCK_WRONG if abs(skew) > TOLERANCE else CLOCKS_APART
            direction = "ahead of" if skew > 0 else "behind"
            yield mistake.found(f"the clock of {visit} is {abs(skew):.0f} s {direction} this machine's")
    if known and worst <= SLOW_CLOCK:
        yield good("clocks: this machine's and the gateways' agree" + (f" within {worst:.0f} s" if worst > 2 else ""))


@check(NO_SECRET, UNSIGNED, BAD_SECRET, OTHER_SECRET)
def secret(subject: Subject) -> Iterator[Finding]:
    """Whether the secret that signs webhooks is one, and the gateways take it; nothing is published for that."""
    signing = [visit for visit in subject.visits if not visit.node.open]
    if subject.secret_error:
        yield BAD_SECRET.found(f"secret: {subject.secret_error}")
    elif not subject.secrets:
        if signing:
            yield NO_SECRET.found(f"secret: none, and {', '.join(map(str, signing))} wants one")
        else:
            yield UNSIGNED.found("secret: none, so workers talk to gateways that are --open only")
    else:
        yield from _accepted(subject, signing)


def _accepted(subject: Subject, signing: list[Visit]) -> Iterator[Finding]:
    refusing = [visit for visit in signing if visit.probe is not None and visit.probe.status in MISCONFIGURED]
    for visit in refusing:
        yield OTHER_SECRET.found(f"secret: {visit} refuses it ({visit.probe})")
    taking = sum(visit.probe is not None and visit.probe.status == PROBE_REFUSED for visit in signing)
    if not refusing:
        count = len(subject.secrets)
        valid = "valid" if count == 1 else f"{count} valid ones; the first signs"
        yield good(f"secret: {valid}" + (f", and {taking} of {len(signing)} live nodes take it" if signing else ""))


def _answering(visit: Visit) -> Finding:
    """What the visit to a live node says of it."""
    if visit.untrusted:
        return UNTRUSTED.found(f"{visit} has a certificate that is not trusted here ({visit.failure})")
    if visit.failure:
        return UNREACHABLE.found(f"{visit} does not answer ({visit.failure})")
    refusal = visit.refusal or visit.probe
    if refusal is not None and refusal.status == 421:
        return HOST_REFUSED.found(f"{visit} refuses its own name ({refusal})")
    if visit.node.role != APP and (visit.status is None or visit.status.node != visit.node.id):
        other = f"the node {visit.status.node}" if visit.status else f"something else ({visit.refusal})"
        return NOT_A_GATEWAY.found(f"{visit} is {other}")
    if visit.probe is not None and (visit.probe.status == 429 or visit.probe.status >= 500):
        return NOT_READY.found(f"{visit} takes no webhooks now ({visit.probe})")
    if visit.probe is not None and visit.probe.status not in {*MISCONFIGURED, PROBE_REFUSED}:
        return NOT_A_GATEWAY.found(f"{visit} takes no webhooks ({visit.probe})")
    if visit.unready:
        return NOT_READY.found(f"{visit}: {visit.unready}")
    return good(f"{visit}: ready")
