# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual: reST beside this file, and the kernel-doc comments of the sources. Documentation/build
makes it; the extension which reads kernel-doc comes with the kernel's source."""
import importlib.util
import os
import sys

ksrc = os.environ['IFPP_KSRC']
sys.path.insert(0, os.path.join(ksrc, 'Documentation', 'sphinx'))

project = 'IFPP for Linux'
author = 'the authors'
copyright = 'the authors'
extensions = ['kerneldoc', 'sphinx.ext.graphviz']
master_doc = 'index'
exclude_patterns = ['build', 'netlink', 'devicetree']
primary_domain = 'c'
highlight_language = 'none'
# furo where it is installed (make docs), else what Sphinx brings
html_theme = 'furo' if importlib.util.find_spec('furo') else 'alabaster'
html_title = 'IFPP for Linux'
graphviz_output_format = 'svg'
# readable on white and on black
graphviz_dot_args = [
    '-Gbgcolor=transparent', '-Gfontname=sans-serif', '-Gfontcolor=#808080', '-Gcolor=#808080',
    '-Nfontname=sans-serif', '-Nfontsize=11', '-Nshape=box', '-Nstyle=rounded,filled', '-Nfillcolor=#dce9f7',
    '-Ncolor=#5a7fa8', '-Nfontcolor=#102030', '-Efontname=sans-serif', '-Efontsize=10', '-Ecolor=#808080',
    '-Efontcolor=#808080',
]
html_copy_source = False
kerneldoc_bin = os.path.join(ksrc, 'scripts', 'kernel-doc')
kerneldoc_srctree = os.environ['srctree']
