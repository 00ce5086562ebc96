"""Audits: compare symmetries with the simulator, and name what breaks them."""

from rpp_rl.envs.auditing.audit import audit, quick_audit
from rpp_rl.envs.auditing.measurement import QUICK, Thoroughness
from rpp_rl.envs.auditing.report import GeneratorAudit, SymmetryAudit, Verdict

__all__ = ["QUICK", "GeneratorAudit", "SymmetryAudit", "Thoroughness", "Verdict", "audit", "quick_audit"]
