// Sends each chosen photo as it is, then shows the page again.
document.querySelector("input").addEventListener("change", async (event) => {
  for (const file of event.target.files) {
    const path = "/photos/" + encodeURIComponent(file.name);
    const answer = await fetch(path, { method: "PUT", body: file });
    if (!answer.ok) alert(await answer.text());
  }
  location.reload();
});
