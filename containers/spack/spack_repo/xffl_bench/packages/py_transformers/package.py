"""Transformers 5. The recipe of spack-packages ends at version 4, with huggingface-hub 0."""

from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import depends_on, license, version


class PyTransformers(PythonPackage):
    """Models of natural language, vision and audio."""

    homepage = "https://github.com/huggingface/transformers"
    pypi = "transformers/transformers-5.3.0.tar.gz"
    license("Apache-2.0")
    version("5.3.0", sha256="009555b364029da9e2946d41f1c5de9f15e6b1df46b189b7293f33a161b9c557")

    depends_on("python@3.10:", type=("build", "run"))
    depends_on("py-setuptools", type="build")
    depends_on("py-huggingface-hub@1.3:1", type="run")
    depends_on("py-numpy@1.17:", type="run")
    depends_on("py-packaging@20:", type="run")
    depends_on("py-pyyaml@5.1:", type="run")
    depends_on("py-regex@:2019.12.16,2019.12.18:", type="run")
    depends_on("py-safetensors@0.4.3:", type="run")
    depends_on("py-tokenizers@0.22:0.23.0", type="run")
    depends_on("py-tqdm@4.27:", type="run")
    depends_on("py-typer", type="run")
