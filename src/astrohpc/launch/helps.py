"""What the verbs' help says beside their arguments: examples, and exit codes."""

DESCRIPTION = """\
Sweeps of planetary climate models, on a laptop and on any Slurm cluster.

Every verb returns at once, can be run again, and ends by saying what to do next. What is done is
never done twice. Errors are one sentence, with exit code 2.
"""

OVERRIDES = """\
Overrides are hydra's: group=option chooses a file of configs/, key=value sets what it holds.

  sweep=thousandworlds sweep.n=1000     which planets            (configs/sweep)
  engine=ebm engine.max_years=500       which climate model      (configs/engine)
  site=perlmutter-cpu                   which machine            (configs/site)
  allocation.account=m1234              who pays, how much       (configs/allocation)
  policy.breaker=10                     what follows a failure   (configs/policy)
  sweep.name=warm runs=$SCRATCH/runs    where it lives

A folder of your own with the same groups is added with --config-dir, or $ASTROHPC_CONFIGS.
"""


STORES = """\
Overrides are hydra's: store=series, store.codec=lz4, site=..., allocation.nodes=4.

  convert                               the latest sweep into its store.zarr
  convert he2022 store.float32=true     a sweep by its name
  convert archive/ archive.zarr store.members=folder
  verify archive/ archive.zarr

Exit codes: 0 all of it is in the store, 3 something was left out and is named, 2 it cannot be done.
"""


CHECKS = """\
Overrides are hydra's: check.laws=[dry_mass], check.members=one, site=..., allocation.nodes=4.

  check                                 the latest sweep: its store.zarr, or its members' climates
  check he2022                          a sweep by its name
  check archive.zarr site=here allocation.nodes=2
  check climate.nc                      a NetCDF file; several are a member each

The report lies beside what was checked: STORE/.astrohpc/check.json and check.html, FILE's in FILE.check/,
or where --into says.

Exit codes: 0 all that was judged is within tolerance, 3 something is not or was left out and is named,
75 it was stopped and goes on when run again, 2 it cannot be done.
"""


TRAININGS = """\
Overrides are hydra's: model=mlp, train.steps=5000, train.engine=ddp, site=..., allocation.nodes=4.

  train                                 on the store of the latest sweep
  train he2022 train.name=wide model.width=256
  train archive.zarr train.optimizer.lr=3e-4
  train arrays/                         a folder with params.npy and fields.npy
  train model=scalar metrics.nc         a few numbers a planet (NetCDF with one dimension, CSV), or a store's
                                        means; here, in seconds. It has name=, seed= and units.INPUT= alone

Exit codes: 0 trained to the last step, 75 saved before it, 65 blown up, 2 it cannot be done.
"""


EVALUATIONS = """\
Overrides are hydra's: evaluate.trials=16, evaluate.methods=[mean,pca_gp], site=..., allocation.nodes=1.

  evaluate                              the store of the latest sweep, with all of its trained networks
  evaluate he2022 wide                  a sweep by its name, and of its trainings this one
  evaluate archive.zarr evaluate.name=narrow evaluate.variables=[ta,ts]

It leaves a folder in the sweep's evaluations: report.html, scores.csv, planets.csv, TensorBoard's pictures,
and the surrogate that 'predict' loads.

Exit codes: 0 done, 75 stopped and goes on when run again, 2 it cannot be done.
"""


PIPELINES = """\
Overrides are hydra's; each goes to the stages that know its group.

  pipeline sweep=demo                   64 planets of the energy-balance model, on this machine
  pipeline sweep=exoplasim-t21 engine=exoplasim-t21 site=perlmutter-cpu allocation.account=m1234
  pipeline model=none                   baselines alone; model=unet is the usual
  pipeline split.test=0.3               for training and evaluation alike
  pipeline train:allocation.nodes=2 check:allocation.walltime=01:00:00      for one stage

Exit codes: 0 done, or submitted; 3 done, and something was left out and is named; 75 stopped and goes on when
run again; 2 it cannot be done.
"""


PREDICTIONS = """\
A planet is a YAML file of lines as people write them:

  stellar_flux: 900 W/m2                what is left out is as all planets trained on had it
  co2: 400 ppm

Several are a list under 'planets:', or the lines of a CSV file with names and units in its heading, as
'stellar_flux [W/m2]'.

  predict planet.yaml                   by the newest surrogate
  predict planets.csv runs/he2022       by the newest of a sweep, or of any folder
  predict planet.yaml -o warm.nc

Exit codes: 0 predicted, 3 predicted, and a planet is outside of what was trained on, which is flagged in
the file, 2 it cannot be done.
"""


GALLERY = """\
Overrides are hydra's: source=store.zarr, spectrum=star.csv, seed=7, spectra.resolution=[100,100].

  augment source=climate.nc             each transformation of its first member, before and after
  augment spectrum=star.csv             of a spectrum: text with units in its heading, ECSV, FITS, NetCDF
  augment                               of a synthetic spectrum alone

The page is gallery/gallery.html, or target=FOLDER, with each picture beside it.

Exit codes: 0 all that was declared was kept, 3 something was not and is named, 2 it cannot be done.
"""
