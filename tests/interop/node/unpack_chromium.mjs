// Unpacks Chromium, its libraries and its fonts from @sparticuz/chromium into $TMPDIR, and prints
// their paths. AWS_EXECUTION_ENV must be set, or the package omits the libraries.
import chromium from "@sparticuz/chromium";

const executable = await chromium.executablePath();
const { LD_LIBRARY_PATH, FONTCONFIG_PATH } = process.env;
console.log(JSON.stringify({ executable, environment: { LD_LIBRARY_PATH, FONTCONFIG_PATH } }));
