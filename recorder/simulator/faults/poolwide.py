"""Faults of the whole pool: restarts, crashes, moving masters, dead hosts, clocks and queues."""

from collections.abc import Callable
from functools import partial
from typing import Protocol, assert_never

from .. import failover, hostlife
from ..agenda import Agenda
from ..audit import AuditTrail
from ..inventory import PoolSpec, SimulatedHost
from ..pool import SimulatedPool
from ..sessions import Sessions
from ..values import Fault, text_of
from . import effects
from .rollback import Flushed, roll_back


class Misfire(Exception):
    """A fault can't happen in this pool; the text says why."""


class Grip(Protocol):
    """What faults may do to the network side of a pool: a Front."""

    pool: SimulatedPool
    sessions: Sessions
    emergency: dict[str, Fault]
    named_master: dict[str, str]

    @property
    def trail(self) -> AuditTrail: ...
    def drop_connections(self, address: str | None = None) -> None: ...
    def restart(self) -> None: ...
    def move_master(self, host: str) -> None: ...
    def silence(self) -> None: ...
    def speak(self) -> None: ...
    def kill(self, address: str, *, answers: bool) -> None: ...
    def revive(self, address: str) -> None: ...
    def adopt(self, address: str, spec: PoolSpec) -> None: ...


class PoolFaults:
    """Does what effects of the whole pool say, now and, where they end by themselves, later."""

    def __init__(self, grip: Grip, agenda: Agenda) -> None:
        self._grip = grip
        self._agenda = agenda
        self.flushed: Flushed | None = None

    def act(self, effect: effects.PoolEffect) -> None:  # noqa: C901, PLR0912 - one case an effect
        """Let it happen. Raises Misfire."""
        grip = self._grip
        match effect:
            case effects.ExpireSessions():
                grip.sessions.expire_all()
            case effects.Restart():
                self._down(self._master().address, effect.how, effect.down_s or None)
                grip.restart()
            case effects.Crash():
                self._crash(effect)
            case effects.Failover():
                self._fail_over(effect)
            case effects.HostDeath():
                self._host_dies(effect)
            case effects.HostEjected():
                self._eject(effect)
            case effects.Emergency():
                self._emergency(effect)
            case effects.SlaveLoop():
                self._loop(effect)
            case effects.Flood():
                if not grip.pool.database.refs("VM"):
                    raise Misfire("there is no VM to change")
                grip.pool.flood(effect.events)
            case effects.EventsLost():
                grip.pool.hub.heartbeat()
                grip.pool.hub.drop_queue()
            case effects.StopHeartbeats():
                grip.pool.hub.beating = False
                self._later(effect.lasts_s, self._beat)
            case effects.ClockJump():
                grip.pool.clock.jump(effect.by_s)
            case effects.Silence():
                grip.silence()
                self._later(effect.lasts_s, grip.speak)
            case effects.DropConnections():
                grip.drop_connections()
            case effects.Syslog():
                self._fail_syslog(effect)
            case effects.AuditRotation():
                for files in grip.trail.all_files():
                    files.rotate(files_max=effect.kept + 1)
            case effects.HalfLine():
                self._tear(effect)
            case _:
                assert_never(effect)

    def _later(self, delay_s: float | None, act: Callable[[], None]) -> None:
        if delay_s is not None:
            self._agenda.add(delay_s, act)

    def _beat(self) -> None:
        self._grip.pool.hub.beating = True

    def _down(self, address: str, how: effects.Death, down_s: float | None) -> None:
        """Let nobody answer at an address for a while; None is not at all."""
        if down_s is not None:
            self._grip.kill(address, answers=how == "refuse")
            self._later(down_s, partial(self._grip.revive, address))

    def _fail_syslog(self, effect: effects.Syslog) -> None:
        syslog = self._grip.trail.syslog
        syslog.line_bytes_max, syslog.late_s_max = effect.bytes, effect.late_s
        syslog.deaf = effect.deaf

        def recover() -> None:
            syslog.line_bytes_max, syslog.late_s_max, syslog.deaf = None, 0.0, False

        self._later(effect.lasts_s, recover)

    def _tear(self, effect: effects.HalfLine) -> None:
        for files in self._grip.trail.all_files():
            files.tear(lost=effect.lasts_s is None)
            self._later(effect.lasts_s, files.mend)

    def _crash(self, effect: effects.Crash) -> None:
        if self.flushed is None:
            raise Misfire("the database was never flushed")
        self._down(self._master().address, effect.how, effect.down_s or None)
        roll_back(self._grip.pool, self.flushed)

    # Hosts.

    def _master(self) -> SimulatedHost:
        return next(host for host in self._all() if host.ref == self._grip.pool.master)

    def _all(self) -> list[SimulatedHost]:
        """Return the hosts that are still of the pool."""
        pool = self._grip.pool
        return [host for host in pool.hosts if pool.database.exists("host", host.ref)]

    def host(self, target: str) -> SimulatedHost:
        """Return a host by its address or name. Raises Misfire."""
        names = {host.address: host for host in self._all()}
        for host in self._all():
            names[text_of(self._grip.pool.database.record("host", host.ref), "name_label")] = host
        if target not in names:
            raise Misfire(f"there is no host {target}; known: {', '.join(names)}")
        return names[target]

    def _member(self, target: str) -> SimulatedHost:
        """Return the host that was named, or the last one that is not the master."""
        if target:
            return self.host(target)
        members = [host for host in self._all() if host != self._master()]
        if not members:
            raise Misfire("the pool has no host but its master")
        return members[-1]

    def _fail_over(self, effect: effects.Failover) -> None:
        old = self._master()
        hosts = self._all()
        if len(hosts) == 1:
            raise Misfire("the pool has no other host to be the master")
        after = hosts[(hosts.index(old) + 1) % len(hosts)]
        new = self.host(effect.target) if effect.target else after
        if new == old:
            raise Misfire(f"{effect.target} is the master already")
        flushed = self.flushed if effect.rollback else None
        if effect.rollback and flushed is None:
            raise Misfire("the database was never flushed")
        booting = hosts if effect.planned else [host for host in hosts if host != old]
        if not effect.planned:
            go_down = partial(hostlife.go_down, self._grip.pool.toolstack, old.ref)
            self._die(old, effect.how, go_down)
            self._later(effect.down_s, partial(self._return, old))
        self._grip.drop_connections()
        for host in booting:
            self._grip.emergency[host.address] = Fault("HOST_STILL_BOOTING")

        def take_over() -> None:
            for host in booting:
                self._grip.emergency.pop(host.address, None)
            if not self._grip.pool.database.exists("host", new.ref):
                return  # It was ejected meanwhile: nobody takes over.
            if flushed is not None:
                roll_back(self._grip.pool, flushed)
            self._grip.move_master(new.ref)
            if not effect.planned:
                self._lose(old)
            hostlife.announce(
                self._grip.pool.toolstack, "POOL_MASTER_TRANSITION", new.ref, priority=4
            )

        if effect.takeover_s:
            self._agenda.add(effect.takeover_s, take_over)
        else:
            take_over()

    def _die(self, host: SimulatedHost, how: effects.Death, go_down: Callable[[], object]) -> None:
        """Let a host go down; open connections hang (silent) or are cut (refuse)."""
        if how == "silent":
            self._grip.kill(host.address, answers=False)
        go_down()  # Cuts the connections that do not hang; the host is silent afterwards.
        if how == "refuse":
            self._grip.kill(host.address, answers=True)

    def _lose(self, host: SimulatedHost) -> None:
        """Write down that a host is dead and its VMs are not running; HA starts them elsewhere."""
        toolstack = self._grip.pool.toolstack
        if host.ref not in toolstack.machines.down:
            return  # It is back already, or was ejected.
        if hostlife.ha_enabled(toolstack):
            toolstack.spawn(partial(failover.recover, toolstack))
            return
        hostlife.mark_dead(toolstack, host.ref)
        for vm in hostlife.guests_of(toolstack, host.ref):
            hostlife.reset_vm(toolstack, vm)
        hostlife.announce(toolstack, "HA_HOST_FAILED", host.ref, priority=3)

    def _return(self, host: SimulatedHost) -> None:
        toolstack = self._grip.pool.toolstack
        self._grip.revive(host.address)
        if host.ref in toolstack.machines.down:  # Somebody may have switched it on before.
            hostlife.come_back(toolstack, host.ref)

    def _host_dies(self, effect: effects.HostDeath) -> None:
        toolstack = self._grip.pool.toolstack
        host = self._member(effect.target)
        # Without HA, the rule says when the pool notices, not the pool.
        has_ha = hostlife.ha_enabled(toolstack)
        go_down = failover.lose if has_ha else hostlife.go_down
        self._die(host, effect.how, partial(go_down, toolstack, host.ref))
        self._later(effect.down_s, partial(self._return, host))
        fall = toolstack.machines.falls_of(host.ref)

        def notice() -> None:
            if toolstack.machines.lies_since(host.ref, fall):
                hostlife.mark_dead(toolstack, host.ref)

        if not has_ha:
            self._agenda.add(effect.noticed_s, notice)

    def _eject(self, effect: effects.HostEjected) -> None:
        host = self._member(effect.target)
        if host == self._master():
            raise Misfire("the master can't be ejected")
        pool = self._grip.pool
        name = text_of(pool.database.record("host", host.ref), "name_label")
        for vm in hostlife.guests_of(pool.toolstack, host.ref):
            hostlife.reset_vm(pool.toolstack, vm)
        hostlife.remove_host(pool.toolstack, host.ref)
        self._grip.kill(host.address, answers=True)
        seed = pool.spec.seed + 1_000_003 + pool.hosts.index(host)
        own = PoolSpec(
            name=name,
            hosts=1,
            vms=0,
            seed=seed,
            user=pool.spec.user,
            password=pool.spec.password,
            speed=pool.spec.speed,
            addresses=(host.address,),
            keeps_truth=False,
        )

        def answer() -> None:
            self._grip.revive(host.address)
            self._grip.adopt(host.address, own)

        self._agenda.add(effect.down_s, answer)

    def _emergency(self, effect: effects.Emergency) -> None:
        host = self.host(effect.target) if effect.target else self._master()
        fault = Fault(effect.code, *effect.params)
        self._grip.emergency[host.address] = fault

        def recover() -> None:
            if self._grip.emergency.get(host.address) is fault:
                del self._grip.emergency[host.address]

        self._later(effect.lasts_s, recover)

    def _loop(self, effect: effects.SlaveLoop) -> None:
        addresses = [host.address for host in self._all()]
        following = [*addresses[1:], addresses[0]]
        self._grip.named_master.update(
            (address, effect.to or next_one)
            for address, next_one in zip(addresses, following, strict=True)
        )
        self._later(effect.lasts_s, self._grip.named_master.clear)


def target_of(effect: effects.Effect) -> str:
    """Return the host that an effect names, "" if it leaves that to the pool."""
    match effect:
        case (
            effects.Failover(target=host)
            | effects.HostDeath(target=host)
            | effects.HostEjected(target=host)
            | effects.Emergency(target=host)
        ):
            return host
    return ""
