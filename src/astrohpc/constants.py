"""Physical constants and units of time (CODATA 2018, NIST). None of them belongs to one planet."""

STEFAN_BOLTZMANN = 5.670374419e-8  # W m-2 K-4
GRAVITATION = 6.67430e-11  # m3 kg-1 s-2
MOLAR_GAS_CONSTANT = 8.31446261815324  # J mol-1 K-1

HOUR_S = 3600.0
DAY_S = 86400.0
YEAR_S = 365.25 * DAY_S  # the Julian year, a unit of time

# Dry gases of the atmospheres we run: molar mass (kg mol-1) and isobaric molar heat capacity of the
# ideal gas at 298.15 K (J mol-1 K-1; NIST Chemistry WebBook). What is neither CO2 nor CH4 is N2.
MOLAR_MASS = {"N2": 0.0280134, "CO2": 0.0440095, "CH4": 0.0160425}
MOLAR_HEAT_CAPACITY = {"N2": 29.124, "CO2": 37.135, "CH4": 35.69}

# Water, wherever it is: molar mass (kg mol-1), heats of evaporation and melting at 273.16 K (J kg-1;
# IAPWS releases of 1995 and 2006).
WATER_MOLAR_MASS = 0.018015268
WATER_GAS_CONSTANT = MOLAR_GAS_CONSTANT / WATER_MOLAR_MASS  # J kg-1 K-1
HEAT_OF_EVAPORATION = 2.5009e6
HEAT_OF_MELTING = 3.3343e5
