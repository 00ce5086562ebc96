"""The entropy coefficients of several agents, fixed or learnt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rpp_rl.agents.rpp_sac.fast_update.adam import Stepper, stepper
from rpp_rl.agents.rpp_sac.fast_update.layers import Learnt, Slot
from rpp_rl.errors import NetworkError


class Temperature:
    """SAC's entropy coefficient alpha, one for each agent.

    Args:
        values: alpha of each agent where it is fixed, else its logarithm.
        optimizers: of the logarithms where they are learnt, else empty.
        target_entropy: at which alpha stays as it is.

    Raises:
        NetworkError: if some agents learn theirs and some do not.
    """

    def __init__(
        self, values: Sequence[Tensor], optimizers: Sequence[torch.optim.Optimizer], target_entropy: float
    ) -> None:
        if optimizers and len(optimizers) != len(values):
            raise NetworkError("the temperature of all agents is learnt, or that of none")
        self.is_learnt = bool(optimizers)
        self._target_entropy = target_entropy
        self._values, self._optimizers = list(values), list(optimizers)
        self._vector = torch.cat([value.detach().reshape(1) for value in values])
        self._gradient = torch.zeros_like(self._vector)
        self._parameters = list(values) if optimizers else []
        slots = []
        for i, parameter in enumerate(self._parameters):
            place, gradient = self._vector[i : i + 1], self._gradient[i : i + 1]
            parameter.data, parameter.grad = place.view_as(parameter), gradient.view_as(parameter)
            slots.append(Slot(parameter, place, gradient, i))  # type: ignore[arg-type]
        self._places = [parameter.data_ptr() for parameter in self._parameters]
        self.stepper: Stepper = stepper(optimizers, [Learnt(self._vector, self._gradient, tuple(slots))])

    @property
    def is_current(self) -> bool:
        """Whether the logarithms are still the tensors, and the optimisers' state that, for which this was built."""
        return self.stepper.is_current and self._places == [p.data_ptr() for p in self._parameters]

    def is_of(
        self, values: Sequence[Tensor], optimizers: Sequence[torch.optim.Optimizer], target_entropy: float
    ) -> bool:
        """Whether it was made for these very objects."""
        mine, asked = (*self._values, *self._optimizers), (*values, *optimizers)
        same = len(mine) == len(asked) and all(one is other for one, other in zip(mine, asked, strict=True))
        return same and self._target_entropy == target_entropy

    def follow(self) -> None:
        """Take over what somebody has written to coefficients that are fixed."""
        if not self.is_learnt:
            for place, value in zip(self._vector, self._values, strict=True):
                place.copy_(value.detach().reshape(()))

    @property
    def vectors(self) -> list[Tensor]:
        """What learning changes."""
        return [self._vector, *self.stepper.vectors]

    def learn(self, log_prob: Tensor) -> tuple[Tensor, Tensor | None]:
        """Alpha before the step, shape (agents, 1), and the loss, shape (agents,); takes the step.

        Args:
            log_prob: log pi of actions drawn now, shape (agents, rows).
        """
        if not self.is_learnt:
            return self._vector.unsqueeze(1), None
        surplus = (log_prob + self._target_entropy).mean(dim=1)
        alpha, loss = self._vector.exp().unsqueeze(1), -(self._vector * surplus)
        torch.neg(surplus, out=self._gradient)
        self.stepper.step()
        return alpha, loss
