# Every command of the repository by name; `just` alone lists them. Each is a line that can be typed as well.

[private]
list:
    @just --list --unsorted

# everything that must hold before a change is merged
check:
    scripts/check.sh

# the whole loop on the embedded set
demo:
    cargo run --release -- demo

# tests whose name holds NAME
test NAME="":
    cargo test --release --workspace {{NAME}}

# take what messages and pages say now for right; read git diff
accept NAME="":
    INSTA_UPDATE=always cargo test --release --workspace {{NAME}}

# the Python package: wheel, types, tests, notebooks
python:
    scripts/python.sh

# links and commands of the documentation, and its site in site/
docs:
    scripts/docs.sh site

# the packages for crates.io, and whether they build by themselves
package:
    scripts/package.sh

# pools in parts on Spark, Ray, Sail and others
engines:
    scripts/engines.sh

# what opens a PyTorch or an ONNX Runtime at run time
torch:
    scripts/torch.sh

# damaged input for everything that reads what strangers send, a minute each
fuzz *ARGS:
    scripts/fuzz.sh {{ARGS}}

# the kernels under the address sanitiser
sanitizer:
    scripts/sanitizer.sh

# a benchmark of bench/, such as `just bench default`
bench NAME *ARGS:
    python bench/{{NAME}}.py {{ARGS}}

# the study that decided the default strategy, on the features in DIR
study DIR:
    python experiments/study.py {{DIR}}

# the paper's figures and tables on the features in DIR
paper DIR:
    python experiments/paper.py {{DIR}}
