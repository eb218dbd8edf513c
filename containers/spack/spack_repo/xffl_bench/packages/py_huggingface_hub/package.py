"""huggingface-hub 1. The recipe of spack-packages ends at version 0, whose dependencies differ."""

from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import depends_on, license, version


class PyHuggingfaceHub(PythonPackage):
    """Client of the Hugging Face Hub."""

    homepage = "https://github.com/huggingface/huggingface_hub"
    pypi = "huggingface_hub/huggingface_hub-1.12.2.tar.gz"
    license("Apache-2.0")
    version("1.12.2", sha256="282c4999e641c89affdc4c02c265eddea944c1390dc19e89dac8ad3ae76dbdaf")

    depends_on("python@3.10:", type=("build", "run"))
    depends_on("py-setuptools", type="build")
    depends_on("py-filelock@3.10:", type="run")
    depends_on("py-fsspec@2023.5:", type="run")
    depends_on("py-hf-xet@1.4.3:1", type="run")
    depends_on("py-httpx@0.23:0", type="run")
    depends_on("py-packaging@20.9:", type="run")
    depends_on("py-pyyaml@5.1:", type="run")
    depends_on("py-tqdm@4.42.1:", type="run")
    depends_on("py-typer", type="run")
    depends_on("py-typing-extensions@4.1:", type="run")
