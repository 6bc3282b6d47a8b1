# SPDX-License-Identifier: GPL-2.0-or-later
"""The manual: reST beside this file, and the kernel-doc comments of the sources. Documentation/build
makes it; the extension which reads kernel-doc comes with the kernel's source."""
import os
import sys

ksrc = os.environ['IFPP_KSRC']
sys.path.insert(0, os.path.join(ksrc, 'Documentation', 'sphinx'))

project = 'IFPP for Linux'
author = 'the authors'
copyright = 'the authors'
extensions = ['kerneldoc']
master_doc = 'index'
exclude_patterns = ['build', 'netlink', 'devicetree']
primary_domain = 'c'
highlight_language = 'none'
html_theme = 'alabaster'
html_theme_options = {'description': 'eSIM profiles on the production line, offline'}
html_copy_source = False
kerneldoc_bin = os.path.join(ksrc, 'scripts', 'kernel-doc')
kerneldoc_srctree = os.environ['srctree']
