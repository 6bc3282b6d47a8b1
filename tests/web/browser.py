# SPDX-License-Identifier: GPL-2.0-or-later
"""Chromium without a screen, and what the tests read from the page in it."""
import base64
import contextlib
import shutil
import subprocess
import tempfile
import time

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service

from world import Failed

PATIENCE = 90
FLAGS = ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking',
         '--disable-component-update', '--disable-sync', '--no-first-run', '--hide-scrollbars')


class Page:
    def __init__(self, driver):
        self.driver = driver

    def run(self, script, *args):
        return self.driver.execute_script(script, *args)

    def figures(self):
        return self.run("return Object.fromEntries([...document.querySelectorAll('[data-f]')].map(e => [e.dataset.f, e.textContent]))")

    def rows(self, table):
        """The cells of each row: first what it is called, without what is said in small."""
        return self.run("""return [...document.querySelectorAll(`#${arguments[0]} tbody tr`)].filter(r => !r.querySelector('.none')).map(
            r => [...r.cells].map(c => [...c.childNodes].filter(n => n.nodeName !== 'SMALL').map(n => n.textContent).join('')))""", table)

    def bars(self, table):
        return [tuple(pair) for pair in self.run("""return [...document.querySelectorAll(`#${arguments[0]} li:not(.none)`)].map(
            l => [l.querySelector('.label').textContent, l.querySelector('b').textContent])""", table)]

    def texts(self, selector):
        return self.run('return [...document.querySelectorAll(arguments[0])].map(e => e.innerText.trim())', selector)

    def overflow(self):
        return self.run('return document.documentElement.scrollWidth - document.documentElement.clientWidth')

    def complaints(self):
        """What the browser refused or did not find."""
        return [entry['message'] for entry in self.driver.get_log('browser') if entry['level'] in ('SEVERE', 'WARNING')]

    def wait_for(self, condition, what):
        until = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > until:
                raise Failed(f'the page does not show {what}: {self.texts("main")[0][:600]} {self.complaints()}')
            time.sleep(0.2)

    def screenshot(self, path):
        height = self.run('return document.documentElement.scrollHeight')
        width = self.run('return document.documentElement.clientWidth')
        shot = self.driver.execute_cdp_cmd('Page.captureScreenshot', {
            'format': 'png', 'captureBeyondViewport': True, 'optimizeForSpeed': False,
            'clip': {'x': 0, 'y': 0, 'width': width, 'height': height, 'scale': 1}})
        with open(path, 'wb') as file:
            file.write(base64.b64decode(shot['data']))
        # a page of few colours: a third of the bytes
        subprocess.run(['pngquant', '--force', '--ext', '.png', '--strip', '128', path], check=True)


class Browser:
    def __enter__(self):
        self.profile = tempfile.mkdtemp(prefix='chromium-', dir='/var/tmp')
        options = webdriver.ChromeOptions()
        options.binary_location = '/usr/bin/chromium'
        for flag in FLAGS + (f'--user-data-dir={self.profile}',):
            options.add_argument(flag)
        options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
        self.driver = webdriver.Chrome(options=options, service=Service('/usr/bin/chromedriver'))
        return self

    def __exit__(self, *_):
        self.driver.quit()
        shutil.rmtree(self.profile, ignore_errors=True)

    @contextlib.contextmanager
    def open(self, url, width=1280, dark=False):
        try:
            self.driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', {
                'width': width, 'height': 900, 'deviceScaleFactor': 1, 'mobile': width < 600})
            self.driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': [
                {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}]})
            self.driver.get(url)
            self.driver.get_log('browser')
            yield Page(self.driver)
            self.driver.get('about:blank')
        except WebDriverException as error:
            raise Failed(str(error)) from error
