"""Which tests have to kill the mutants of which module: the cheapest first, the complete searches last."""

CASES = ("tests/property/test_named_cases.py", "tests/property/test_named_recoveries.py")
ADOPTION = ("tests/property/test_adoption.py",)
TIME = ("tests/property/test_time_is_not_trusted.py",)
LINES = ("tests/unit/test_pairing.py",)
SEARCHES = ("tests/property/test_crash_exploration.py", "tests/property/test_interleavings.py")

SUITES: dict[str, tuple[str, ...]] = {
    "commit": ("tests/unit/test_commit_rules.py", *CASES, *ADOPTION, *SEARCHES),
    "recovery": ("tests/unit/test_recovery_rules.py", *CASES, *ADOPTION, *TIME, *SEARCHES),
    "collection": ("tests/unit/test_collection_rules.py", *CASES, *SEARCHES),
    "sweep": ("tests/unit/test_sweep.py", "tests/unit/test_sweep_rules.py", *CASES, *ADOPTION, *SEARCHES),
    "claims": ("tests/unit/test_claims_rules.py", *CASES, *ADOPTION, *TIME, *SEARCHES),
    "steps": ("tests/unit/test_steps_rules.py", *CASES, *SEARCHES),
    "outcomes": ("tests/unit/test_manifest_rules.py",),
    "dedup": ("tests/unit/test_plan.py", "tests/unit/test_plan_rules.py"),
    "keeping": ("tests/unit/test_plan.py", "tests/unit/test_plan_rules.py"),
    "pairing": ("tests/unit/test_plan.py", "tests/unit/test_plan_rules.py", *LINES),
    "plan": ("tests/unit/test_plan.py", "tests/unit/test_plan_rules.py", *LINES),
    "rules": ("tests/unit/test_plan.py", "tests/unit/test_plan_rules.py", *LINES),
    "manifest": ("tests/unit/test_chain.py", "tests/unit/test_manifest_rules.py", *LINES),
    "chain": ("tests/unit/test_chain.py", "tests/unit/test_chain_rules.py", "tests/unit/test_points_in_time.py"),
}
"""By module of rrbackup/pure."""
