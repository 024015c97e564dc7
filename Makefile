# Short names for what the README tells to type.
.PHONY: demo test lint cluster cluster-down

demo:           ## 64 planets on this machine
	@bash hpc/demo.sh

test:           ## every check and test
	@bash hpc/test.sh

lint:           ## the static checks alone
	@PATH="$${VIRTUAL_ENV:-$(CURDIR)/.venv}/bin:$$PATH" bash hpc/lint.sh

cluster:        ## a private Slurm to play with; prints how to use it
	@hpc/slurm/cluster.sh install && hpc/slurm/cluster.sh up

cluster-down:   ## stop it and delete all it wrote
	@hpc/slurm/cluster.sh down --wipe
