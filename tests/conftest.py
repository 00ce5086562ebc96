from hypothesis import settings

# A busy machine is no defect: no example is failed for the time it took.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
