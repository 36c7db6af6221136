// Convenience only: every page does its work without this.
"use strict";

// Copy what is shown once.
for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
        const shown = document.getElementById(button.dataset.copy);
        try {
            await navigator.clipboard.writeText(shown.textContent);
            button.textContent = "Copied";
        } catch {
            // Without the browser's leave: select it, so that a key does the rest.
            getSelection().selectAllChildren(shown);
            button.textContent = "Press Ctrl+C";
        }
    });
}

// One more row of a name and a value.
for (const button of document.querySelectorAll("button[data-more]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
        const rows = document.getElementById(button.dataset.more);
        const row = rows.lastElementChild.cloneNode(true);
        for (const field of row.querySelectorAll("input, textarea")) {
            field.value = "";
            field.id = "";
        }
        for (const hint of row.querySelectorAll("output")) hint.remove();
        rows.append(row);
        row.querySelector("input, textarea").focus();
    });
}

// What a value looks like that nobody sees while it is typed: told here, and nowhere else.
const shape = (value) => {
    const parts = [];
    const lines = value.split("\n").length;
    const characters = [...value].length;
    parts.push(characters === 1 ? "1 character" : `${characters} characters`);
    if (lines > 1) parts.push(`${lines} lines`);
    if (value !== value.trim()) parts.push("white space around it, which is kept");
    if (/^(["']).*\1$/s.test(value)) parts.push("quotes around it, which are kept");
    return value === "" ? "" : parts.join(", ");
};
document.addEventListener("input", (event) => {
    const field = event.target;
    if (!field.matches("textarea.value") || field.id === "pasted") return;
    let hint = field.nextElementSibling;
    if (!hint?.matches("output.shape")) {
        hint = document.createElement("output");
        hint.className = "shape";
        field.after(hint);
    }
    hint.textContent = shape(field.value);
});

// What changes by itself is shown anew, while somebody looks at it.
const live = document.querySelector("[data-reload]");
if (live) {
    setInterval(() => {
        const busy = document.hidden || document.querySelector("details[open]");
        if (!busy && !live.contains(document.activeElement)) location.reload();
    }, 1000 * Number(live.dataset.reload));
}

// A search that found nothing yet goes on by itself; the way back leads before it.
const further = document.querySelector("a[data-go-on]");
if (further) location.replace(further.href);
