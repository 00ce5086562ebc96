"""Audits: compare symmetries with the simulator, name what breaks them, and find better maps."""

from rpp_rl.envs.auditing.audit import audit, quick_audit
from rpp_rl.envs.auditing.better_map import BetterMap
from rpp_rl.envs.auditing.map_comparison import better_maps
from rpp_rl.envs.auditing.measurement import QUICK, Thoroughness
from rpp_rl.envs.auditing.plain_audit import Check, PlainAudit
from rpp_rl.envs.auditing.report import GeneratorAudit, SymmetryAudit, Verdict

__all__ = [
    "QUICK",
    "BetterMap",
    "Check",
    "GeneratorAudit",
    "PlainAudit",
    "SymmetryAudit",
    "Thoroughness",
    "Verdict",
    "audit",
    "better_maps",
    "quick_audit",
]
