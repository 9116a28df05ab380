"""Where rules meet a pool: every connection, call and event is asked about, and timed rules run."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import get_args

import trio

from ...errors import ConfigError
from .. import http
from ..agenda import Agenda
from ..calls import Call, Result
from ..toolstack import Manner, operations_in
from ..values import Fault
from . import background, effects
from .censor import Censor
from .ledger import Entry, Ledger, Occasion
from .line import Line
from .poolwide import Grip, Misfire, PoolFaults, target_of
from .rollback import flush
from .rule import CONNECT, Plan, Rule, class_of, strikes
from .strike import Strike

_LOG = logging.getLogger(__name__)
_LOGIN = "session.login_with_password"
_POOL_EFFECTS = get_args(effects.PoolEffect)
_NOTHING = frozenset[str]()

Cues = Callable[[str, str], Strike | None]
"""Takes a method and the object of a call, and tells what befalls it before any rule is asked."""

Proceed = Callable[[Callable[[], Awaitable[Result]] | None], Awaitable[Result]]
"""Carries a call out, or something else instead of what its method does."""


class Injector:
    """The faults of one pool. Times of rules count from the begin of `run`."""

    def __init__(self, grip: Grip) -> None:
        self._grip = grip
        self._pool = grip.pool
        self._agenda = Agenda(grip.pool.bugs)
        self._poolwide = PoolFaults(grip, self._agenda)
        self._begun_s: float | None = None
        self._flush_due_s: float | None = None
        self.ledger = Ledger(grip.pool.name)
        self.cues: Cues | None = None
        self.censor = Censor(grip.pool.hub.rows, self._decide_event)

    async def run(self) -> None:
        """Do what is due by time, until cancelled."""
        self._begun_s = trio.current_time()
        for entry in self.ledger:
            self._arm(entry)
        await self._agenda.run()

    def take(self, plan: Plan) -> None:
        """Put the rules of a plan into force. Raises ConfigError."""
        for rule in plan.rules:
            self._check_hosts(rule)
        for entry in self.ledger.take(plan):
            self._admit(entry)

    def add(self, rule: Rule) -> Entry | None:
        """Put one rule into force; None if it is for another pool. Raises ConfigError."""
        self._check_hosts(rule)
        entry = self.ledger.add(rule)
        if entry is not None:
            self._admit(entry)
        return entry

    def act(self, effect: effects.PoolEffect) -> None:
        """Let something happen to the whole pool now. Raises Misfire."""
        if _flush_s(effect) is not None and self._poolwide.flushed is None:
            self._poolwide.flushed = flush(self._pool.hub.rows)
        self._poolwide.act(effect)

    def at_connect(self, address: str) -> Strike | None:
        """Return what befalls a new connection to the host with this address."""
        if not self.ledger:
            return None
        occasion = Occasion(CONNECT, None, self._hosts_of(address), lambda _text: False)
        strike = self.ledger.ask(occasion, lambda _rule: True, now_s=self.now_s())
        if strike is not None and strike.on_pool is not None:
            self._schedule(strike, strike.on_pool)
            return None
        return strike

    async def answer(self, call: Call, address: str, line: Line, proceed: Proceed) -> Result:
        """Carry a call out, or let the rules decide what becomes of it.

        Raises Fault, HttpError, LineEnded.
        """
        if to := self._grip.named_master.get(address):
            raise Fault("HOST_IS_SLAVE", to)
        strike = self._cue(call)
        if strike is None and self.ledger:
            strike = self._decide_call(call, address)
        if strike is None:
            return await self._honest(proceed)
        if strike.on_pool is not None:
            return await self._around(strike, strike.on_pool, proceed)
        if strike.on_reply is not None:
            return await self._before_reply(strike, line, proceed)
        await trio.sleep(strike.delay_s)
        return await self._instead(strike, call, proceed)

    def now_s(self) -> float:
        """Return the seconds since the pool began to run."""
        return 0.0 if self._begun_s is None else trio.current_time() - self._begun_s

    # Calls.

    async def _honest(self, proceed: Proceed) -> Result:
        """Carry a call out; an event.next of which nothing is left to show waits on."""
        while True:
            result = self.censor.cleaned(await proceed(None))
            if result is not None:
                return result

    async def _around(self, strike: Strike, effect: effects.PoolEffect, proceed: Proceed) -> Result:
        if effect.moment == "before":
            self._schedule(strike, effect)
            await trio.lowlevel.checkpoint()  # Ends here if our own connection was cut.
            return await self._honest(proceed)
        result = await self._honest(proceed)
        self._schedule(strike, effect)
        await trio.sleep(strike.delay_s)
        return result

    async def _before_reply(self, strike: Strike, line: Line, proceed: Proceed) -> Result:
        match strike.effect:
            case effects.Reset("before"):
                await trio.sleep(strike.delay_s)
                raise line.end(reset=True)
            case effects.Reset("during"):
                await _begin(proceed, strike.delay_s)
                raise line.end(reset=True)
            case effects.HttpStatus(done=False) | effects.Redirect(done=False):
                line.strike = strike
                raise http.internal_error("replaced by the fault")
        line.strike = strike
        return await self._honest(proceed)

    async def _instead(self, strike: Strike, call: Call, proceed: Proceed) -> Result:
        pool, agenda, method = self._pool, self._agenda, _dotted(call.method)

        async def refuse(fault: Fault) -> Result:
            await trio.lowlevel.checkpoint()
            raise fault

        match strike.effect:
            case effects.Fault(code, params):
                fault = Fault(code, *params)
                if method == _LOGIN:  # Which the dispatcher checks and does in one.
                    raise fault
                return await proceed(lambda: refuse(fault))
            case effects.LoginRefused():
                user = str(call.params[0]) if call.params else ""
                raise Fault("SESSION_AUTHENTICATION_FAILED", user, "Authentication failure")
            case effects.ExpireSession():
                self._grip.sessions.expire(_text(call.params[:1]))
                return await proceed(None)
            case effects.TaskFailure() as failure:
                return await proceed(lambda: background.fail(pool, agenda, method, failure))
            case effects.TaskHang() as hanging:
                return await proceed(lambda: background.hang(pool, method, hanging))
            case effects.Pace(factor, agent, agent_s, lasts_s):
                until_s = None if lasts_s is None else trio.current_time() + lasts_s
                with operations_in(Manner(factor, agent, agent_s, until_s)):
                    return await proceed(None)
            case effects.TaskVanish(lasts_s):
                task = await proceed(None)
                assert isinstance(task, str), "a call in the background answers with its task"
                agenda.add(lasts_s, lambda: pool.tasks.remove(task))
                return task
        raise AssertionError(f"{strike.effect} is none of calls")

    def _cue(self, call: Call) -> Strike | None:
        return self.cues and self.cues(_dotted(call.method), _text(call.params[1:2]))

    def _decide_call(self, call: Call, address: str) -> Strike | None:
        name = _dotted(call.method)
        occasion = Occasion(
            name=name,
            user=self._user_of(call, name),
            hosts=self._hosts_of(address),
            is_object=lambda text: self._is_about(call, text),
        )
        return self.ledger.ask(
            occasion, lambda rule: self._possible(rule.effect, name), now_s=self.now_s()
        )

    def _possible(self, effect: effects.Effect, method: str) -> bool:
        """Say whether an effect can befall a call of this method at all."""
        match effect:
            case effects.Swallow():
                return False
            case effects.LoginRefused():
                return method == _LOGIN
            case effects.ExpireSession():
                return method != _LOGIN
            case effects.TaskVanish():
                return background.is_async(method) and background.is_operation(self._pool, method)
            case effects.TaskFailure() | effects.TaskHang() | effects.Pace():
                return background.is_operation(self._pool, method)
        return True

    def _user_of(self, call: Call, name: str) -> str | None:
        if name == _LOGIN:
            return _text(call.params[:1])
        try:
            return self._grip.sessions.check(_text(call.params[:1])).user
        except Fault:
            return None

    def _hosts_of(self, address: str) -> frozenset[str]:
        """Return the names of the host with this address: itself and its name label."""
        database = self._pool.database
        for host in self._pool.hosts:
            if host.address == address and database.exists("host", host.ref):
                return frozenset({address, str(database.record("host", host.ref)["name_label"])})
        return frozenset({address})

    def _is_about(self, call: Call, text: str) -> bool:
        """Say whether the first argument is this object: its reference, uuid or name."""
        argument = _text(call.params[1:2])
        return bool(argument) and (
            argument == text or self._is_named(class_of(call.method), argument, text)
        )

    def _is_named(self, cls: str, ref: str, text: str) -> bool:
        """Say whether the object with this reference has this uuid or name; any class will do."""
        database = self._pool.database
        for name in (cls, *self._pool.hub.rows.tables):
            if database.exists(name, ref):
                record = database.record(name, ref)
                return text in (record.get("uuid"), record.get("name_label"))
        return False

    # Events.

    def _decide_event(self, cls: str, operation: str, ref: str) -> effects.Swallow | None:
        occasion = Occasion(
            name=f"{cls}.{operation}",
            user=None,
            hosts=_NOTHING,
            is_object=lambda text: text == ref or self._is_named(cls, ref, text),
        )
        strike = self.ledger.ask(
            occasion,
            lambda rule: isinstance(rule.effect, effects.Swallow),
            now_s=self.now_s(),
        )
        effect = strike.effect if strike else None
        return effect if isinstance(effect, effects.Swallow) else None

    # The whole pool, and time.

    def _check_hosts(self, rule: Rule) -> None:
        """Raise ConfigError if a rule for this pool names a host that it does not have."""
        if rule.when.pool not in ("", self._pool.name):
            return
        for key, host in (("host", rule.when.host), ("target", target_of(rule.effect))):
            try:
                if host:
                    self._poolwide.host(host)
            except Misfire as misfire:
                title = rule.when.name or rule.effect.word()
                raise ConfigError(f"rule {title}: {key}: {misfire}") from misfire

    def _admit(self, entry: Entry) -> None:
        if isinstance(entry.rule.effect, effects.Swallow):
            self._pool.hub.censor = self.censor.hides
        if self._begun_s is not None:
            self._arm(entry)

    def _arm(self, entry: Entry) -> None:
        """Prepare what a rule needs from now on: its time, or a database that is flushed."""
        every_s = _flush_s(entry.rule.effect)
        if every_s is not None:
            self._flush(entry, every_s)
        if entry.rule.timed:
            when = entry.rule.when
            first_s = when.at_s if when.at_s is not None else when.every_s
            assert first_s is not None
            self._agenda.add(max(0.0, first_s - self.now_s()), lambda: self._ring(entry))

    def _flush(self, entry: Entry, every_s: float) -> None:
        if self.ledger.holds(entry):
            self._poolwide.flushed = flush(self._pool.hub.rows)
            self._agenda.add(every_s, lambda: self._flush(entry, every_s))

    def _ring(self, entry: Entry) -> None:
        """Let a timed rule strike, and wind it up again."""
        when = entry.rule.when
        if not self.ledger.holds(entry):
            return
        if when.every_s is not None:
            self._agenda.add(when.every_s, lambda: self._ring(entry))
        if strikes(when, entry.tally, now_s=self.now_s(), dice=entry.dice):
            strike = entry.strike()
            assert strike.on_pool is not None, "other effects need a match"
            self._schedule(strike, strike.on_pool)

    def _schedule(self, strike: Strike, effect: effects.PoolEffect) -> None:
        """Act when the delay of the rule is over; without one, at once."""
        if strike.delay_s:
            self._agenda.add(strike.delay_s, lambda: self._strike(strike, effect))
        else:
            self._strike(strike, effect)

    def _strike(self, strike: Strike, effect: effects.PoolEffect) -> None:
        try:
            self.act(effect)
        except Misfire as misfire:
            _LOG.warning("fault_misfired rule=%s reason=%s", strike.rule, misfire)
            for entry in self.ledger:
                if entry.name == strike.rule:
                    entry.tally.misfired = str(misfire)


def install(plan: Plan, injectors: Mapping[str, Injector]) -> None:
    """Put a plan into force in all pools, by name. Raises ConfigError for a pool there is not."""
    for number, rule in enumerate(plan.rules, 1):
        if rule.when.pool and rule.when.pool not in injectors:
            known = ", ".join(injectors)
            raise ConfigError(f"rule {number}: there is no pool {rule.when.pool}; known: {known}")
    for injector in injectors.values():
        injector.take(plan)


async def _begin(proceed: Proceed, patience_s: float) -> None:
    """Carry a call out for this long and forget its answer."""
    with trio.move_on_after(patience_s):
        with suppress(Fault):  # A refusal is an answer like any other: the client gets none.
            await proceed(None)
        await trio.sleep_forever()


def _flush_s(effect: effects.Effect) -> float | None:
    """Return how often an effect wants the database flushed, None if it does not care."""
    match effect:
        case effects.Crash(flush_s=every_s):
            return every_s
        case effects.Failover(flush_s=every_s, rollback=True):
            return every_s
    return None


def _dotted(method: str) -> str:
    """Return the usual spelling of a method; xapi takes `VM_start` for `VM.start`, too."""
    return method if "." in method else method.replace("_", ".", 1)


def _text(params: object) -> str:
    """Return the only parameter if it is text, else nothing."""
    if isinstance(params, list) and len(params) == 1 and isinstance(params[0], str):
        return params[0]
    return ""
