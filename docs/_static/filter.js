// A filter box above a long table: every word must be in the row. Without it, the table is complete.
const filtered = { "settings-overview": "settings by word or engine", messages: "messages by word" };
document.querySelectorAll(Object.keys(filtered).map((name) => `table.${name}`).join()).forEach((table) => {
  const rows = [...table.tBodies[0].rows];
  const box = document.createElement("input");
  box.type = "search";
  box.className = "settings-filter";
  const what = filtered[Object.keys(filtered).find((name) => table.classList.contains(name))];
  box.placeholder = `Filter ${rows.length} ${what}`;
  box.setAttribute("aria-label", box.placeholder);
  const count = document.createElement("output");
  count.className = "settings-count";
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    });
    count.textContent = words.length ? `${shown} of ${rows.length}` : "";
  });
  const place = table.closest(".table-wrapper") || table;
  place.before(box, count);
});
