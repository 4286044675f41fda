// The script of the page: times in the reader's zone, and a button that copies. The page is whole without it.
import { Markup } from "./markup.ts";

export const SCRIPT: Markup = new Markup(`
{
  const two = (n) => String(n).padStart(2, "0");
  for (const time of document.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    const day = two(at.getMonth() + 1) + "-" + two(at.getDate());
    const minute = two(at.getHours()) + ":" + two(at.getMinutes());
    const second = minute + ":" + two(at.getSeconds());
    time.textContent = {
      full: at.getFullYear() + "-" + day + " " + second, day, minute, second,
    }[time.dataset.form];
  }
  document.getElementById("zone").textContent =
    "Times are in your time zone, " + Intl.DateTimeFormat().resolvedOptions().timeZone + ".";
  for (const code of navigator.clipboard ? document.querySelectorAll("pre code") : []) {
    const button = document.createElement("button");
    button.textContent = "Copy";
    button.onclick = () => navigator.clipboard.writeText(code.textContent)
      .then(() => button.textContent = "Copied", () => button.textContent = "Cannot copy");
    code.parentElement.append(button);
  }
}
`);
