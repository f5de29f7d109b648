"""Which steps a run takes, and after which of them it evaluates."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timetable:
    """Epochs cut into the stretches of steps after which a run evaluates; none of them spans two epochs."""

    epochs: int
    steps_per_epoch: int
    train_steps: int = 0
    """Of the whole run; 0: those of all epochs. Otherwise epochs do not count."""
    steps_per_checkpoint: int = 0
    """Evaluate after so many steps of an epoch; 0: not but at its end."""
    checkpoints_per_epoch: int = 1
    """Or so many times in each."""

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.train_steps or self.epochs * self.steps_per_epoch

    @property
    def last_epoch(self) -> int:
        """The epoch, from 1, in which the run ends."""
        return -(-self.total_steps // self.steps_per_epoch)

    @property
    def steps_per_evaluation(self) -> float:
        """Steps between two evaluations, where an epoch has room for all of them."""
        if self.steps_per_checkpoint:
            return min(self.steps_per_checkpoint, self.steps_per_epoch)
        return self.steps_per_epoch / max(1, self.checkpoints_per_epoch)

    def stops(self, epoch: int) -> list[int]:
        """After how many steps of an epoch is evaluated, ascending; the last is its end, or that of the run."""
        end = min(self.steps_per_epoch, self.total_steps - (epoch - 1) * self.steps_per_epoch)
        whole = self.steps_per_epoch
        if self.steps_per_checkpoint:
            inside = set(range(self.steps_per_checkpoint, whole, self.steps_per_checkpoint))
        else:
            count = min(max(1, self.checkpoints_per_epoch), whole)
            inside = {round(whole * part / count) for part in range(1, count)}
        return sorted({stop for stop in inside if stop < end} | {end})
