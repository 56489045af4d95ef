// Unpacks Chromium, its libraries and its fonts from @sparticuz/chromium into $TMPDIR.
// AWS_EXECUTION_ENV must be set, or the package omits the libraries.
import chromium from "@sparticuz/chromium";

await chromium.executablePath();
