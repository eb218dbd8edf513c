"""xffl-bench from the checkout that holds this recipe: its branch main, as committed."""

from pathlib import Path

from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import depends_on, license, version


class PyXfflBench(PythonPackage):
    """Compare strategies of distributed LLM training and measure how far they scale."""

    git = f"file://{Path(__file__).resolve().parents[6]}"
    license("MIT")
    version("main", branch="main")

    depends_on("python@3.11:", type=("build", "run"))
    depends_on("py-setuptools@77:", type="build")
    depends_on("py-datasets@4.0:", type="run")
    depends_on("py-huggingface-hub@1.0:", type="run")
    depends_on("py-jinja2@3.1:", type="run")
    depends_on("py-markupsafe@2.1:", type="run")
    depends_on("py-matplotlib@3.9:", type="run")
    depends_on("py-numpy@1.26:", type="run")
    depends_on("py-nvidia-ml-py@12.560:", type="run")
    depends_on("py-pandas@2.2:", type="run")
    depends_on("py-plotly@6.0:", type="run")
    depends_on("py-psutil@6.0:", type="run")
    depends_on("py-pyarrow@17:", type="run")
    depends_on("py-pydantic@2.11:", type="run")
    depends_on("py-pyyaml@6.0:", type="run")
    depends_on("py-rich@13.9:", type="run")
    depends_on("py-safetensors@0.5:", type="run")
    depends_on("py-scipy@1.13:", type="run")
    depends_on("py-tokenizers@0.22:", type="run")
    depends_on("py-torch@2.8:", type="run")
    depends_on("py-transformers@5.0:", type="run")
    depends_on("py-typer@0.15:", type="run")
