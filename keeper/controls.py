"""Carries out what operators command while the keeper runs: pause, resume, halt."""

from __future__ import annotations

import logging
import time

from keeper.execution.kill_switch import KillSwitch
from keeper.orchestrator import Orchestrator
from keeper.store.bus import EventBus
from keeper.store.control import Action, Answer, Command

log = logging.getLogger(__name__)

PAUSED = "paused"
HALTED = "halted"


class Controls:
    """Switches trading off and on and tells the bus what holds.

    Args:
        trading: what the status says while nothing holds trading up.
    """

    def __init__(self, orchestrator: Orchestrator, kill_switch: KillSwitch, bus: EventBus, trading: str) -> None:
        self._orchestrator = orchestrator
        self._kill_switch = kill_switch
        self._bus = bus
        self._trading = trading
        self._tell()

    @property
    def state(self) -> str:
        if self._kill_switch.reason is not None:
            return HALTED
        return self._trading if self._orchestrator.paused is None else PAUSED

    async def carry_out(self, command: Command) -> Answer:
        """Act on ``command``; in force when this returns. Repeating it changes nothing."""
        before = self.state
        wish = f"{command.action} by {command.actor}" + (f": {command.reason}" if command.reason else "")
        facts: dict[str, object] = {"before": before}
        match command.action:
            case Action.PAUSE:
                self._orchestrator.pause(wish)
            case Action.HALT:
                try:
                    self._kill_switch.engage(wish)
                except OSError as error:
                    # in force in this process all the same
                    facts["warning"] = f"{self._kill_switch.file} cannot be written ({error.strerror})"
            case Action.RESUME:
                if self._kill_switch.reason is not None:
                    if not command.release_halt:
                        remedy = "Find out why it was halted, then resume with release_halt set."
                        return self._refused(command, "trading is halted, not paused", remedy)
                    self._kill_switch.release()
                self._orchestrator.resume()
        log.warning("control: %s; %s -> %s", wish, before, self.state)
        self._tell(wish)
        self._bus.publish(
            "control", {"action": command.action.value, "actor": command.actor, "before": before, "state": self.state}
        )
        return Answer(command.id, True, self.state, facts | {"in_flight": self._orchestrator.in_flight})

    def _refused(self, command: Command, problem: str, remedy: str) -> Answer:
        self._tell()
        log.warning("control: %s by %s refused: %s", command.action.value, command.actor, problem)
        return Answer(command.id, False, self.state, {"problem": problem, "remedy": remedy})

    def _tell(self, cause: str | None = None) -> None:
        self._bus.set_status(state=self.state, since=time.time_ns(), cause=cause or self._kill_switch.reason)
